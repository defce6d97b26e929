"""Bi-Real Net's quadratic estimator, and ReActNet, which adds learned thresholds to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import sign_clip, sign_with


def triangle(x: Tensor) -> Tensor:
    """Return 2 - 2 |x| inside +-1, else 0: the derivative of ApproxSign, 2x - x|x| there."""
    return (2 - 2 * x.abs()).clamp(min=0)


@BINARIZERS.register("bireal")
class BiReal(Binarizer):
    """Inputs sign(x) with the gradient of ApproxSign; weights sign(w) mean |w| of each output channel.

    arXiv 1808.00278, section 3.3: a quadratic estimator for inputs, and a gradient of weights that has the
    size of the channel's weights, where |w| < 1. Its shortcut around every layer is the net's business.
    """

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_with(x, triangle)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w|), the scale without gradient."""
        return sign_clip(w), w.detach().flatten(1).abs().mean(1)


@BINARIZERS.register("reactnet")
class ReActNet(BiReal):
    """Inputs sign(x - t) with a learned threshold t for each channel (RSign); all else as `bireal`.

    arXiv 2003.03488, equation 1 and section 4.2. RPReLU is a PReLU with a shift before and one after it: the first
    is the bias of the batch norm that feeds it here, the second only moves the thresholds behind it and the
    bias of the classifier, so a net with `net.slopes = "channel"` computes the same functions.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.threshold = nn.Parameter(torch.zeros(c_in))

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x - t), +1 at zero."""
        moved = x.unflatten(-1, (-1, self.c_in)) - self.threshold
        return sign_with(moved, triangle).flatten(-2)

    def thresholds(self) -> Tensor:
        """Return t."""
        return self.threshold.detach()[None]

    @torch.no_grad()
    def round_tables(self) -> None:
        """Round the thresholds to float16."""
        self.threshold.copy_(self.threshold.half().float())
