"""The memory: a depthwise filter over time, taps outside the clip missing (B, T, C axes)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def _spans(taps: int, left: int, time: int) -> list[tuple[int, slice, slice]]:
    """Return (tap, output frames, input frames) for each tap that reaches any frame."""
    spans = []
    for tap in range(taps):
        shift = tap - left
        first, last = max(0, -shift), min(time, time - shift)
        if first < last:
            spans.append((tap, slice(first, last), slice(first + shift, last + shift)))
    return spans


class _DepthwiseTime(torch.autograd.Function):
    """Shifted multiply-adds: on a CPU faster than a grouped convolution of five taps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, left: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.left = left
        out = x * w[left]
        for tap, to, source in _spans(w.shape[0], left, x.shape[1]):
            if tap != left:
                out[:, to].addcmul_(x[:, source], w[tap])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w = ctx.saved_tensors
        left, grad = ctx.left, grads[0]
        grad_x = grad * w[left]
        grad_w = torch.zeros_like(w)
        for tap, to, source in _spans(w.shape[0], left, x.shape[1]):
            if tap != left:
                grad_x[:, source].addcmul_(grad[:, to], w[tap])
            grad_w[tap] = (grad[:, to] * x[:, source]).sum((0, 1))
        return grad_x, grad_w, None


def depthwise_time(x: Tensor, w: Tensor, left: int) -> Tensor:
    """Filter each channel over time.

    Parameters
    ----------
    x
        [B, T, C].
    w
        [taps, C]; tap k reads frame `t + k - left`.
    left
        Taps before the current frame.

    Returns
    -------
    Tensor
        [B, T, C]. A tap outside 0 .. T-1 adds nothing.
    """
    if torch.onnx.is_in_onnx_export():
        # The tracer loses what is added in place.
        padded = functional.pad(x.transpose(1, 2), (left, w.shape[0] - 1 - left))
        return functional.conv1d(padded, w.t()[:, None], groups=w.shape[1]).transpose(1, 2)
    out: Tensor = _DepthwiseTime.apply(x, w, left)
    return out
