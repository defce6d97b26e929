"""Differentiable soft quantisation at one bit (arXiv 1908.05033)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import sign_through

SHARPNESS = (0.02, 0.5)
MIN_RANGE = 1.0 / 64.0


@BINARIZERS.register("dsq")
class Dsq(Binarizer):
    """Signs whose gradient is that of tanh(k x / u) / tanh(k) inside +-u, k = artanh(1 - a), 0 outside.

    a (how far the soft step is from the hard one) and u (the clipping range) are learned, each for inputs and
    for weights; weights are sign(w) mean |w| of each output channel. arXiv 1908.05033, section 3.1 with one bit: two
    levels, one soft step between them. The first u is 1 for inputs, 1/4 for weights.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.softness = nn.Parameter(torch.tensor([0.2, 0.2]))
        self.range = nn.Parameter(torch.tensor([1.0, 0.25]))

    def soft(self, x: Tensor, which: int) -> Tensor:
        """Return the soft step, -1 .. 1, of inputs (0) or weights (1)."""
        k = torch.atanh(1 - self.softness[which])
        inside = (x / self.range[which]).clamp(-1, 1)
        return torch.tanh(k * inside) / torch.tanh(k)

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_through(self.soft(x, 0))

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w|), the scale without gradient."""
        return sign_through(self.soft(w, 1)), w.detach().flatten(1).abs().mean(1)

    def project(self, w: Tensor) -> None:
        """Keep softness and range in their limits."""
        self.softness.clamp_(*SHARPNESS)
        self.range.clamp_(min=MIN_RANGE)
