"""Eight-bit weights, for the first and last layer of a net whose others are 1-bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.full import Full

LARGEST = 127


class _Round(torch.autograd.Function):
    """To the nearest whole number, an even one from halfway; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


@BINARIZERS.register("int8")
class Int8(Full):
    """Weights round(w / s) s with s = max |w| / 127 a channel (arXiv 1712.05877, section 2.1); real inputs.

    The gradient passes the rounding as it is.
    """

    stored = "i8"

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (whole numbers -127 .. 127, s)."""
        scale = w.detach().flatten(1).abs().amax(1).clamp(min=1e-12) / LARGEST
        shape = (-1, *[1] * (w.dim() - 1))
        levels: Tensor = _Round.apply(w / scale.reshape(shape))
        return levels, scale
