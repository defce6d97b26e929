"""Regularised activation distributions (arXiv 1904.02823), called RAD and BNN-DL."""

from __future__ import annotations

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.bireal import BiReal
from bifast.train.binarizers.sign import sign_clip

# The released script weighs the mean over the layers by 2, for 60 of 65 epochs; BiFSMN has 26 binary layers.
WEIGHT = 2 / 26
SHARE = 60 / 65


def distribution_loss(x: Tensor) -> Tensor:
    """Return the loss of inputs [..., C], a scalar: mean over channels, with mean m and deviation s of each.

    (2 - |m| - s)+^2 against gradients that do not match, (s - 4)+^2 against saturation, (m^2 - s^2)+ against
    channels that are always of one sign.
    """
    variance, mean = torch.var_mean(x.flatten(0, -2), 0, correction=0)
    deviation = (variance + 1e-10).sqrt()
    mismatch = (2 - mean.abs() - deviation).clamp(min=0).square()
    saturation = (deviation - 4).clamp(min=0).square()
    degeneration = (mean.square() - variance).clamp(min=0)
    return (mismatch + saturation + degeneration).mean()


@BINARIZERS.register("rad")
class Rad(BiReal):
    """Inputs sign(x) whose distribution the loss regularises; weights sign(w) mean |w|; clipped gradients.

    arXiv 1904.02823, the terms as in the released code, over the first 60/65 of the training.
    """

    on: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("on", torch.tensor(WEIGHT), persistent=False)
        self._losses: list[Tensor] = []

    def set_progress(self, fraction: float) -> None:
        """Switch the loss off near the end."""
        self.on.fill_(WEIGHT if fraction < SHARE else 0.0)

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero; in training note the loss of the distribution."""
        if self.training and torch.is_grad_enabled():
            self._losses.append(distribution_loss(x))
        return sign_clip(x)

    def penalty(self, w: Tensor) -> Tensor | None:
        """Return the mean loss of the depths that ran since the last call."""
        losses, self._losses = self._losses, []
        return self.on * torch.stack(losses).mean() if losses else None
