"""Pooling and shortcuts without weights (B batch, H height, W width, C channels, the last axis)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bifast.format import Buffer
from bifast.train.export import Lowered, exports
from bifast.train.nets.norm import DepthNorm, PositivePRelu
from bifast.train.nets.stage import Stage


class MaxPool(Stage):
    """The largest value under each window, then batch norm and activation.

    Parameters
    ----------
    channels, kernel, stride
        C and the square window; `kernel // 2` positions around the input are missing if the window is
        odd, none if it is even.
    norm, act
        Batch norm and activation, or None.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        stride: int,
        norm: DepthNorm | None = None,
        act: PositivePRelu | None = None,
    ) -> None:
        super().__init__(channels, norm, act)
        self.kernel, self.stride = kernel, stride
        self.pad = kernel // 2 if kernel % 2 else 0

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """[B, H, W, C] -> [B, H', W', C]."""
        pooled = functional.max_pool2d(x.permute(0, 3, 1, 2), self.kernel, self.stride, self.pad)
        return super().forward(pooled.permute(0, 2, 3, 1), depth)


@exports(MaxPool)
def _lower_max_pool(layer: MaxPool, source: Buffer) -> Lowered:
    kernel, stride, pad = ((n, n) for n in (layer.kernel, layer.stride, layer.pad))
    return Lowered("max_pool", None, kernel, stride, pad)


class AveragePool(Stage):
    """The mean over all positions.

    Parameters
    ----------
    channels
        C.
    ordered
        Add in evaluation in the engine's order, one position after the other.
    """

    def __init__(self, channels: int, *, ordered: bool) -> None:
        super().__init__(channels)
        self.ordered = ordered

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """[B, H, W, C] -> [B, C]."""
        flat = x.flatten(1, 2)
        if self.training or not self.ordered:
            return flat.mean(1)
        total = torch.zeros_like(flat[:, 0])
        for position in range(flat.shape[1]):
            total = total + flat[:, position]
        return total * (1.0 / flat.shape[1])


@exports(AveragePool)
def _lower_average_pool(layer: AveragePool, source: Buffer) -> Lowered:
    return Lowered("average_pool", None, (0, 0), (0, 0), dilation=(0, 0))


class Halve(Stage):
    """The mean of each 2 x 2 positions, added in the engine's order.

    Parameters
    ----------
    channels
        C.
    """

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """[B, H, W, C] -> [B, H / 2, W / 2, C]; H and W are even."""
        above, below = x[:, ::2], x[:, 1::2]
        total = above[:, :, ::2] + above[:, :, 1::2] + below[:, :, ::2] + below[:, :, 1::2]
        return total * 0.25


@exports(Halve)
def _lower_halve(layer: Halve, source: Buffer) -> Lowered:
    return Lowered("average_pool", None, (2, 2), (2, 2))


class Subsample(Stage):
    """Every n-th position, new channels zero on both sides: shortcut A (He et al., arXiv 1512.03385).

    Parameters
    ----------
    c_in, c_out, stride
        c_out >= c_in.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__(c_out)
        self.c_in, self.stride = c_in, stride
        before = (c_out - c_in) // 2
        self.around = (before, c_out - c_in - before)

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """[B, H, W, c_in] -> [B, H / stride, W / stride, c_out]."""
        return functional.pad(x[:, :: self.stride, :: self.stride], self.around)


@exports(Subsample)
def _lower_subsample(layer: Subsample, source: Buffer) -> Lowered:
    return Lowered("subsample", None, (0, 0), (layer.stride, layer.stride), dilation=(0, 0))
