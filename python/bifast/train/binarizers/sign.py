"""Sign with sign(0) = +1 and the clipped straight-through gradient, shared by binarizers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _SignClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        # Not torch.sign alone: an exact zero, and -0.0, must be +1 as in the engine. Two signs with
        # a half in between are seven times faster than a comparison, which goes through bool.
        return x.sign().add_(0.5).sign_()

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
