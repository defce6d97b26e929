"""Batch norm with statistics for each depth, and PReLU with a positive slope (C = channels)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_SLOPE = 1.0 / 64.0


class DepthNorm(nn.Module):
    """Batch norm over the last axis of [N, C], for a net that runs at several depths.

    A layer that several depths share sees a different distribution in each of them, so mean and
    variance are kept for each depth. The affine part is shared, or private to each depth.

    Parameters
    ----------
    channels
        C.
    n_depths
        Sets of statistics: one for each depth, or 1.
    private
        True gives each depth its own weight and bias.
    gain
        The weights' first value.
    """

    eps = 1e-5
    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(
        self, channels: int, n_depths: int, *, private: bool = False, gain: float = 1.0
    ) -> None:
        super().__init__()
        sets = n_depths if private else 1
        self.private = private
        self.weight = nn.ParameterList([torch.full((channels,), gain) for _ in range(sets)])
        self.bias = nn.ParameterList([torch.zeros(channels) for _ in range(sets)])
        self.register_buffer("mean", torch.zeros(n_depths, channels))
        self.register_buffer("var", torch.ones(n_depths, channels))
        self.register_buffer("count", torch.zeros(n_depths, dtype=torch.int64))
        self.momentum: float | None = 0.1

    def forward(self, x: Tensor, depth: int) -> Tensor:
        """Normalise [N, C] with the statistics of this batch and update those of `depth`.

        Only for training: in evaluation the affine map is folded into the layer (`affine`).
        """
        which = depth if self.private else 0
        row = self._row(depth)
        self.count[row] += 1
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.count[row])
        return functional.batch_norm(
            x,
            self.mean[row],
            self.var[row],
            self.weight[which],
            self.bias[which],
            training=True,
            momentum=momentum,
            eps=self.eps,
        )

    def affine(self, depth: int) -> tuple[Tensor, Tensor]:
        """Return the running batch norm as (scale, shift), each [C], float64."""
        which, row = depth if self.private else 0, self._row(depth)
        deviation = (self.var[row].double() + self.eps).sqrt()
        scale = self.weight[which].detach().double() / deviation
        shift = self.bias[which].detach().double() - self.mean[row].double() * scale
        return scale, shift

    def _row(self, depth: int) -> int:
        """Find the statistics of a depth: one set serves all where the depths have not parted yet."""
        return depth if self.mean.shape[0] > 1 else 0


class _PRelu(torch.autograd.Function):
    """PReLU whose backward pass avoids comparisons: six times faster on a CPU than PyTorch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return functional.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        grad = grads[0]
        positive = torch.ops.aten.threshold_backward(grad, x, 0)
        grad_x = (grad * slope).addcmul_(positive, 1.0 - slope)
        grad_slope = x.clamp(max=0).mul_(grad).sum(0)
        return grad_x, grad_slope if slope.numel() > 1 else grad_slope.sum(0, keepdim=True)


class PositivePRelu(nn.Module):
    """PReLU over the last axis, `x >= 0 ? x : x * slope`, whose slopes stay positive.

    A positive slope keeps the sign, so that a layer of which only the sign is read can become an
    integer threshold. Slopes are kept at or above `MIN_SLOPE` after every step (`project`).

    Parameters
    ----------
    channels
        Slopes for each channel, or one slope for all with 1.
    n_sets
        One set for each depth when private, else 1.
    """

    def __init__(self, channels: int, n_sets: int = 1) -> None:
        super().__init__()
        self.slope = nn.ParameterList([torch.full((channels,), 0.25) for _ in range(n_sets)])

    def forward(self, x: Tensor, depth: int) -> Tensor:
        """Apply to [N, C] with the slopes of `depth`, or the only ones there are."""
        slope = self.slope[depth if len(self.slope) > 1 else 0]
        if x.is_cuda:  # one kernel there
            return functional.prelu(x, slope)
        out: Tensor = _PRelu.apply(x, slope)
        return out

    def slopes(self, depth: int) -> Tensor:
        """Return the slopes at `depth`, shape [C] or [1]."""
        return self.slope[depth if len(self.slope) > 1 else 0].detach()

    @torch.no_grad()
    def project(self) -> None:
        """Bring every slope back to at least `MIN_SLOPE`."""
        for slope in self.slope:
            slope.clamp_(min=MIN_SLOPE)
