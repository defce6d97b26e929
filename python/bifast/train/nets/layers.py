"""The kinds of layer: convolution, dense, memory (B batch, H/T time, W mel, C channels)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bifast.errors import UnsupportedError
from bifast.format import Buffer
from bifast.train.export import Lowered, exports
from bifast.train.nets.layer import Layer
from bifast.train.nets.memory import depthwise_time


def _levels(layer: Layer) -> NDArray[Any]:
    """Return the weights in the layer's shape: uint8 bits if it is binary, else float32."""
    levels, scale = layer.binarizer.weight(layer.weight.detach())
    array: NDArray[Any] = levels.detach().numpy()
    if not layer.binarizer.binary:
        return array
    if not (np.abs(array) == 1).all():
        wrong = array[np.abs(array) != 1].flat[0]
        raise UnsupportedError(f"its binarizer gives a weight {wrong:.9g}, not +1 or -1")
    if scale.shape != array.shape[:1] or not ((scale > 0) & scale.isfinite()).all():
        raise UnsupportedError("its binarizer gives no positive scale for each output channel")
    return (array > 0).astype(np.uint8)


def ordered_conv2d(x: Tensor, w: Tensor, stride: int, pad: int) -> Tensor:
    """Convolve floats in the engine's order of additions (docs/format.md, "Output stage").

    Element k of the taps in order goes into partial sum k % 4; each product and each sum is rounded.

    Parameters
    ----------
    x, w
        [B, H, W, c_in] and [c_out, kernel, kernel, c_in].
    stride, pad
        As usual.

    Returns
    -------
    Tensor
        [B, H', W', c_out].
    """
    _, kernel, _, c_in = w.shape
    x = functional.pad(x, (0, 0, pad, pad, pad, pad))
    height, width = ((n - kernel) // stride + 1 for n in x.shape[1:3])
    sums = [x.new_zeros(len(x), height, width, len(w)) for _ in range(4)]
    for k, (i, j, c) in enumerate(itertools.product(range(kernel), range(kernel), range(c_in))):
        tap = x[:, i:, j:, c, None][:, ::stride, ::stride][:, :height, :width]
        sums[k % 4] += tap * w[:, i, j, c]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


class Conv2d(Layer):
    """Convolution of [B, H, W, C] with a square kernel; zeros around the input.

    Parameters
    ----------
    c_in, c_out, kernel, stride
        As usual; padding is `kernel // 2` on every side.
    ordered
        For real weights: add in evaluation in the engine's order, for its very bits.
    options
        Keywords of `Layer`.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int,
        *,
        ordered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__((c_out, kernel, kernel, c_in), c_in, **options)
        self.kernel = kernel
        self.stride = stride
        self.ordered = ordered

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """[B, H, W, c_in] by [c_out, kernel, kernel, c_in] -> [B, H', W', c_out]."""
        pad = self.kernel // 2
        if self.ordered and not self.training and self.bytes is None:
            return ordered_conv2d(x, w, self.stride, pad)
        x = x.permute(0, 3, 1, 2)
        if fill := self.fill():
            x, pad = functional.pad(x, (pad,) * 4, value=fill), 0
        y = functional.conv2d(x, w.permute(0, 3, 1, 2), stride=self.stride, padding=pad)
        return y.permute(0, 2, 3, 1)

    def output_positions(self, positions: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) after the stride."""
        height, width = ((n + self.stride - 1) // self.stride for n in positions)
        return height, width


def _code(binary: bool, source: Buffer) -> str:
    """Return the operation of a convolution."""
    real = "byte_conv2d" if source.type == "u8" else "conv2d"
    return "binary_conv2d" if binary else real


@exports(Conv2d)
def _lower_conv2d(layer: Conv2d, source: Buffer) -> Lowered:
    binary, side = layer.binarizer.binary, (layer.kernel, layer.kernel)
    rows = _levels(layer).reshape(layer.weight.shape[0], -1)
    return Lowered(
        code=_code(binary, source),
        weights=rows if binary else rows.T,
        kernel=side,
        stride=(layer.stride, layer.stride),
        pad=(layer.kernel // 2, layer.kernel // 2),
        fill=int(layer.fill()),
    )


class Dense(Layer):
    """The same matrix at every position, over the last axis of [..., c_in].

    Parameters
    ----------
    c_in, c_out
        Channels in and out.
    positions
        Positions whose channels lie one after the other in c_in; the engine covers them by a kernel.
    ordered
        As of `Conv2d`.
    options
        Keywords of `Layer`.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        positions: int = 1,
        ordered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__((c_out, c_in), c_in // positions, **options)
        self.ordered = ordered

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """[..., c_in] by [c_out, c_in] -> [..., c_out]."""
        if self.ordered and not self.training and self.bytes is None:
            rows = x.reshape(-1, 1, 1, x.shape[-1])
            return ordered_conv2d(rows, w[:, None, None], 1, 0).view(*x.shape[:-1], len(w))
        return functional.linear(x, w)


@exports(Dense)
def _lower_dense(layer: Dense, source: Buffer) -> Lowered:
    binary, rows = layer.binarizer.binary, _levels(layer)
    height, width, channels = source.shape
    for kernel in ((1, 1), (1, width), (height, width)):
        if kernel[0] * kernel[1] * channels == rows.shape[1]:
            return Lowered(
                code=_code(binary, source),
                weights=rows if binary else rows.T,
                kernel=kernel,
            )
    raise UnsupportedError(f"{rows.shape[1]} inputs do not cover a buffer of shape {source.shape}")


class Memory(Layer):
    """Depthwise filter over the frames of [B, T, C]: the memory of a feedforward sequential net.

    Parameters
    ----------
    channels
        C.
    left, right
        Taps before and after the current frame.
    filters
        Filters for each channel, F: output channel i reads input channel i % C.
    options
        Keywords of `Layer`.
    """

    def __init__(
        self, channels: int, left: int, right: int, *, filters: int = 1, **options: Any
    ) -> None:
        super().__init__((channels * filters, left + 1 + right), channels, **options)
        self.left = left
        self.filters = filters

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """[B, T, C] by [F C, taps] -> [B, T, F C]."""
        if self.filters > 1:
            x = x.repeat(1, 1, self.filters)
        return depthwise_time(x, w.t().contiguous(), self.left)


@exports(Memory)
def _lower_memory(layer: Memory, source: Buffer) -> Lowered:
    taps = layer.weight.shape[1]
    return Lowered(
        code="binary_memory" if layer.binarizer.binary else "memory",
        weights=_levels(layer).T,
        kernel=(taps, 1),
        pad=(layer.left, 0),
    )
