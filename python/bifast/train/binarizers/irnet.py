"""IR-Net's binarizer: balanced, standardised weights and an estimator that sharpens (arXiv 1909.10788)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import hard_sign

T_MIN, T_MAX = 0.1, 10.0


class _TanhSign(torch.autograd.Function):
    """sign(x), +1 at zero, whose gradient is that of k tanh(t x), k = max(1 / t, 1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(x, t)
        return hard_sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, t = ctx.saved_tensors
        # k t = max(1, t).
        return torch.ops.aten.tanh_backward(grads[0] * t.clamp(min=1), torch.tanh(t * x)), None


def tanh_sign(x: Tensor, t: Tensor) -> Tensor:
    """Binarise to +-1; d/dx = k t (1 - tanh(t x)^2) with k = max(1 / t, 1).

    Parameters
    ----------
    x
        Any shape, float.
    t
        Scalar, positive: sharpness. Below 1 the gradient is 1 at zero and wide; above it is t there.

    Notes
    -----
    The error decay estimator of IR-Net (arXiv 1909.10788).
    """
    out: Tensor = _TanhSign.apply(x, t)
    return out


def sharpness(fraction: float) -> float:
    """Return t = T_MIN (T_MAX / T_MIN)^fraction: IR-Net's schedule over the epochs."""
    return float(T_MIN * (T_MAX / T_MIN) ** fraction)


def standardised(w: Tensor) -> Tensor:
    """Balance and standardise weights: (w - mean) / deviation of each output channel.

    Zero mean gives the signs the largest entropy, unit deviation lets them flip.
    """
    flat = w.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return (flat / flat.std(1, keepdim=True).clamp(min=1e-12)).view_as(w)


def power_of_two(w: Tensor) -> Tensor:
    """Return 2^round(log2 mean |w|) of each output channel, [c_out], without gradient."""
    return torch.exp2(w.detach().flatten(1).abs().mean(1).clamp(min=1e-12).log2().round())


@BINARIZERS.register("irnet")
class IrNet(Binarizer):
    """Weights sign(w^) 2^s, w^ = (w - mean) / deviation a channel, s = round(log2 mean |w^|); inputs sign(x).

    The gradient through each sign is that of k tanh(t x), k = max(1 / t, 1), t from 0.1 to 10 in equal
    ratios over the epochs: first wide, so that everything can still change, then close to the sign's (error
    decay estimator, EDE). Weights: Libra parameter binarization. arXiv 1909.10788, as in the released code.
    """

    t: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("t", torch.tensor(T_MIN), persistent=False)

    def set_progress(self, fraction: float) -> None:
        """Sharpen the estimator."""
        self.t.fill_(sharpness(fraction))

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return tanh_sign(x, self.t)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w^), 2^s)."""
        latent = standardised(w)
        return tanh_sign(latent, self.t), power_of_two(latent)
