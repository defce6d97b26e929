"""ReCU's binarizer: weights in the tails are drawn in, so that their signs can flip (arXiv 2103.12369)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.bireal import triangle
from bifast.train.binarizers.sign import sign_through, sign_with
from bifast.train.binarizers.xnor import XnorPlusPlus

TAU = (0.85, 0.99)


def quantile_of(fraction: float) -> float:
    """Return tau, from 0.85 to 0.99 as A e^fraction + B: its schedule over the epochs."""
    slope = (TAU[1] - TAU[0]) / (math.e - 1)
    return slope * (math.exp(fraction) - 1) + TAU[0]


@BINARIZERS.register("recu")
class ReCu(XnorPlusPlus):
    """Weights sign(clamp(w^, -Q, Q)) g: w^ centred and standardised a channel, Q its tau-quantile, g learned.

    Q = -mean |w^| ln(2 - 2 tau), the quantile of a Laplace distribution, tau from 0.85 to 0.99 over the epochs. The
    gradient passes where |w^| < Q, and through mean and deviation. Inputs sign(x); in training x is divided by the
    deviation of its clip, and the gradient is Bi-Real's triangle of that. arXiv 2103.12369, as released.
    """

    edge: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("edge", torch.tensor(0.0), persistent=False)
        self.set_progress(0.0)

    def set_progress(self, fraction: float) -> None:
        """Move the quantile outwards."""
        self.edge.fill_(-math.log(2 - 2 * quantile_of(fraction)))

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        if self.training:
            deviation = (x.var(tuple(range(1, x.dim())), keepdim=True) + 1e-5).sqrt()
            x = x / deviation
        return sign_with(x, triangle)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign of the drawn-in weights, g)."""
        flat = w.flatten(1)
        flat = flat - flat.mean(1, keepdim=True)
        flat = flat / ((flat.var(1, keepdim=True) + 1e-5).sqrt() / (2 * math.sqrt(2)))
        edge = flat.detach().abs().mean() * self.edge
        return sign_through(torch.minimum(torch.maximum(flat, -edge), edge)).view_as(w), self.gamma
