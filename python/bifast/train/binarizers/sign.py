"""Signs with sign(0) = +1 and estimators of their gradient, shared by binarizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def hard_sign(x: Tensor) -> Tensor:
    """Return +1 where x >= 0, an exact zero and -0.0 included as in the engine, else -1; no gradient."""
    # Two signs with a half in between are seven times faster than a comparison, which goes through bool.
    return x.sign().add_(0.5).sign_()


class _SignClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return hard_sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grads[0], x, -1.0, 1.0)


def sign_clip(x: Tensor) -> Tensor:
    """Binarise to +-1; the gradient passes where |x| < 1.

    Parameters
    ----------
    x
        Any shape, float.

    Returns
    -------
    Tensor
        +1 where x >= 0 (zeros included), else -1.

    Notes
    -----
    The straight-through estimator of BinaryNet (arXiv 1602.02830), as BiFSMN uses it.
    """
    out: Tensor = _SignClip.apply(x)
    return out


class _SignWith(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return hard_sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.slope(x), None


def sign_with(x: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """Binarise to +-1 with an estimator of the gradient.

    Parameters
    ----------
    x
        Any shape, float.
    slope
        Takes `x` and returns what stands for the derivative of the sign, element by element.
    """
    out: Tensor = _SignWith.apply(x, slope)
    return out


class _SignThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return hard_sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def sign_through(x: Tensor) -> Tensor:
    """Binarise to +-1; the gradient passes everywhere as it is (straight through)."""
    out: Tensor = _SignThrough.apply(x)
    return out
