"""What the released code of BiFSMN computes, part by part: to measure it, not to ship it.

Read from the authors' code (arXiv 2202.06483), written from its formulas. The engine can not run these
binarizers, and says why; docs/released-code.md has what each part is worth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.bifsmn import BiFsmn
from bifast.train.binarizers.sign import hard_sign

PAIRS = "a weight scale for each pair of output and input channel can not leave the sum of an XNOR product"
THIRD_LEVEL = "sign(0) = 0 is a third level, which a bit can not hold"


class _ScaledSign(torch.autograd.Function):
    """scale * sign(x) whose gradient passes unscaled where |x| <= 1, as released."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: bool) -> Tensor:
        ctx.save_for_backward(x)
        sign = x.sign() if zero else hard_sign(x)
        return sign.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grads[0], x, -1.0, 1.0), None, None


def scaled_sign(x: Tensor, scale: Tensor, *, zero: bool) -> Tensor:
    """Binarise to scale * sign(x), with the clipped straight-through gradient without the scale.

    Parameters
    ----------
    x
        Any shape, float.
    scale
        Of a shape that broadcasts to that of `x`; gets no gradient.
    zero
        True leaves exact zeros zero, as PyTorch's sign; False makes them +1.
    """
    out: Tensor = _ScaledSign.apply(x, scale, zero)
    return out


@BINARIZERS.register("pair-scale")
class PairScale(BiFsmn):
    """Defect of the release: one weight scale for each pair of output and input channel.

    The scale is the mean of |w - mean(w)| over the kernel's positions. A kernel of one position has its
    real weights back, |w| sign(w) = w: in BiFSMN 91 % of all weights. The linear layer and the memory
    have one scale for each output channel, as `bifsmn`.
    """

    unsupported = PAIRS
    linear = "bifsmn"
    zero = False

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (scale * sign(w - mean), ones): the scale does not factor out of the levels."""
        centred = w - w.mean()
        size = centred.detach().abs()
        if w.dim() > 2:  # [c_out, kernel, kernel, c_in]
            size = size.mean((1, 2), keepdim=True)
        elif w.shape[1] != self.c_in:  # depthwise [channels, taps]: one input for each output
            size = size.mean(1, keepdim=True)
        return scaled_sign(centred, size, zero=self.zero), w.new_ones(w.shape[0])


@BINARIZERS.register("sign-zero")
class SignZero(BiFsmn):
    """Quirk of the release: sign(0) = 0 in weights and inputs; scales as `bifsmn`."""

    unsupported = THIRD_LEVEL

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), 0 at zero."""
        return scaled_sign(x, x.new_ones(()), zero=True)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w - mean), scale), the scale without gradient."""
        centred = w - w.mean()
        levels = scaled_sign(centred, w.new_ones(()), zero=True)
        return levels, centred.detach().abs().flatten(1).mean(1)


@BINARIZERS.register("released")
class Released(PairScale):
    """The released code: scales for each pair, and sign(0) = 0."""

    linear = "released-linear"
    zero = True

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), 0 at zero."""
        return scaled_sign(x, x.new_ones(()), zero=True)


@BINARIZERS.register("released-linear")
class ReleasedLinear(SignZero):
    """The released code's linear layer: mean |w| of each output channel times sign(w), not centred."""

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), scale), the scale without gradient."""
        return scaled_sign(w, w.new_ones(()), zero=True), w.detach().abs().flatten(1).mean(1)
