"""Signs on both sides: BNN, and BNN+ with a swish-like estimator and a regulariser of weights."""

from __future__ import annotations

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import sign_clip, sign_with

BETA = 5.0
LAMBDA = 1e-6


@BINARIZERS.register("bnn")
class Bnn(Binarizer):
    """Weights sign(w), inputs sign(x); gradients pass where |x| < 1, latent weights are kept in [-1, 1].

    arXiv 1602.02830, equations 1 (deterministic) and 4.
    """

    scale = "none"

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_clip(x)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), ones)."""
        return sign_clip(w), w.new_ones(w.shape[0])

    def project(self, w: Tensor) -> None:
        """Clip the latent weights."""
        w.clamp_(-1, 1)


def swish_slope(x: Tensor) -> Tensor:
    """Return the derivative of SS(x) = 2 s(bx) (1 + bx (1 - s(bx))) - 1, s the logistic function, b = BETA."""
    share = torch.sigmoid(BETA * x)
    return 2 * BETA * share * (1 - share) * (2 + BETA * x * (1 - 2 * share))


@BINARIZERS.register("bnn+")
class BnnPlus(Binarizer):
    """Weights sign(w) mean |w|, inputs sign(x); the gradient of both is that of SignSwish, b = 5.

    Adds 1e-6 sum | mean |w| - |w| | to the loss, the mean of each output channel. arXiv 1812.11800; b and the
    weight of the regulariser are among those that the paper tries.
    """

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_with(x, swish_slope)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w|)."""
        return sign_with(w, swish_slope), w.detach().flatten(1).abs().mean(1)

    def penalty(self, w: Tensor) -> Tensor:
        """Draw the sizes of a channel's weights together."""
        size = w.flatten(1).abs()
        return LAMBDA * (size.mean(1, keepdim=True) - size).abs().sum()
