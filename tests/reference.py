"""The oracle: docs/format.md in plain NumPy, one float32 operation at a time, no popcounts.

Every sum follows the order that the format page writes, so an engine must equal it bit for bit.
Shapes: features and float activations [height (time), width (mel), channels]; bits as uint8 0/1 in
[planes, height, width, channels].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bifast.format import ModelFile, Op

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerOutput:
    """One output of one layer: float32, uint8, or a plane of bits 0/1, [height, width, channels]."""

    name: str
    is_bits: bool
    array: Array


@dataclass(frozen=True)
class Trace:
    """Logits [classes] float32 and what every layer wrote, in order."""

    logits: Array
    layers: list[LayerOutput]


def run(model: ModelFile, features: Array, depth: int) -> Trace:
    """Run features [T, M, C] float32 through the layers of one depth."""
    buffers: dict[int, Array] = {0: np.asarray(features, np.float32)}
    layers = []
    with np.errstate(all="ignore"):
        for op in model.ops:
            if not op.depth_mask >> depth & 1:
                continue
            for index, array in run_op(model, op, buffers):
                buffers[index] = array
                is_bits = model.buffers[index].type.startswith("bits")
                planes = array if is_bits else array[None]
                layers.extend(LayerOutput(op.name, is_bits, plane) for plane in planes)
    return Trace(buffers[len(model.buffers) - 1].reshape(-1), layers)


def run_op(model: ModelFile, op: Op, buffers: dict[int, Array]) -> list[tuple[int, Array]]:
    """Return (buffer, array) for each output of an operation, floats before bits."""
    source = buffers[op.input]
    if op.code == "quantise":
        assert op.out_f32 is not None
        return [(op.out_f32, quantise(model, op, source))]
    if model.buffers[op.input].type in ("f32", "u8"):
        value = SUMS[op.code](model, op, source)
    else:
        sums = [SUMS[op.code](model, op, plane) for plane in source]
        if op.flip is not None:
            threshold, flip = tensor(model, op.threshold), tensor(model, op.flip)
            bits = (sums[0] >= threshold) ^ (flip == 1)
            assert op.out_bits is not None
            return [(op.out_bits, bits.astype(np.uint8)[None])]
        value = sums[0].astype(np.float32)
        if len(sums) == 2:
            value = value + np.float32(op.plane_scale) * sums[1].astype(np.float32)
    y = affine(model, op, value)
    if op.residual is not None:
        y = y + buffers[op.residual]
    outputs = [] if op.out_f32 is None else [(op.out_f32, y)]
    if op.out_bits is not None:
        outputs.append((op.out_bits, signs(model, op, y)))
    return outputs


def quantise(model: ModelFile, op: Op, x: Array) -> Array:
    """Scale and shift (two roundings), cut to 0 .. 255, without what follows the point: uint8."""
    y = x * tensor(model, op.scale) + tensor(model, op.shift)
    return np.clip(np.where(np.isnan(y), 0, y), 0, 255).astype(np.uint8)


def signs(model: ModelFile, op: Op, y: Array) -> Array:
    """One or two planes of bits [planes, height, width, channels] of the values y."""
    assert op.out_bits is not None
    planes = 2 if model.buffers[op.out_bits].type == "bits2" else 1
    theta = np.zeros((planes, y.shape[2]), np.float32)
    if op.threshold is not None:
        theta = tensor(model, op.threshold)
    bits = [y >= theta[0]]
    if planes == 2:
        bits.append(y - np.where(bits[0], np.float32(1), np.float32(-1)) >= theta[1])
    return np.array(bits, np.uint8)


def affine(model: ModelFile, op: Op, y: Array) -> Array:
    """Scale and shift (two roundings), then PReLU."""
    if op.scale is not None:
        y = y * tensor(model, op.scale)
        y = y + tensor(model, op.shift)
    if op.slope is not None:
        y = np.where(y >= 0, y, y * tensor(model, op.slope))
    return y


def tensor(model: ModelFile, index: int | None) -> Array:
    """Return a tensor's values, f16 and i8 widened to float32, other integers to int64."""
    assert index is not None
    tensor = model.tensors[index]
    floats = tensor.dtype in ("f32", "f16", "i8")
    return tensor.array.astype(np.float32 if floats else np.int64)


def out_shape(model: ModelFile, op: Op) -> tuple[int, int, int]:
    index = op.out_bits if op.out_f32 is None else op.out_f32
    assert index is not None
    return model.buffers[index].shape


def taps(op: Op, x: Array, out: tuple[int, int, int]) -> Iterator[tuple[Array, Array]]:
    """Yield, for each tap in order, the input under it and where that input exists.

    Both are of the output's height and width: [H, W, C_in] and bool [H, W, 1].
    """
    for ty in range(op.kernel[0]):
        y = np.arange(out[0]) * op.stride[0] - op.pad[0] + ty * op.dilation[0]
        y_exists = (y >= 0) & (y < x.shape[0])
        for tx in range(op.kernel[1]):
            z = np.arange(out[1]) * op.stride[1] - op.pad[1] + tx * op.dilation[1]
            z_exists = (z >= 0) & (z < x.shape[1])
            under = x[np.where(y_exists, y, 0)][:, np.where(z_exists, z, 0)]
            yield under, (y_exists[:, None] & z_exists[None, :])[:, :, None]


def conv2d(model: ModelFile, op: Op, x: Array) -> Array:
    """Float sums: product k goes to partial sum k % 4, then (s0 + s1) + (s2 + s3)."""
    shape = out_shape(model, op)
    weights = tensor(model, op.weights)
    sums = [np.zeros(shape, np.float32) for _ in range(4)]
    k = 0
    for under, exists in taps(op, x, shape):
        for channel in range(x.shape[2]):
            product = under[:, :, channel, None] * weights[k]
            sums[k % 4] = np.where(exists, sums[k % 4] + product, sums[k % 4])
            k += 1
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


def byte_conv2d(model: ModelFile, op: Op, x: Array) -> Array:
    """Integer sums of bytes by bytes, missing taps being `fill`, rounded once to float32."""
    shape = out_shape(model, op)
    under = [np.where(exists, u, op.fill) for u, exists in taps(op, x.astype(np.float64), shape)]
    # Below 2^31: exact in float64 in any order.
    sums = np.concatenate(under, axis=2) @ tensor(model, op.weights).astype(np.float64)
    return sums.astype(np.float32)


def binary_conv2d(model: ModelFile, op: Op, x: Array) -> Array:
    """Integer sums of +-1 products over the taps that exist, int64."""
    shape = out_shape(model, op)
    signs = [
        np.where(exists, 2.0 * under - 1.0, 0.0)
        for under, exists in taps(op, x.astype(float), shape)
    ]
    weights = 2.0 * tensor(model, op.weights) - 1.0  # [c_out, K]
    # Sums of at most 65535 ones: exact in float64 in any order.
    return np.rint(np.concatenate(signs, axis=2) @ weights.T).astype(np.int64)


def binary_memory(model: ModelFile, op: Op, x: Array) -> Array:
    """Integer sums of +-1 products along time in each channel, int64."""
    shape = out_shape(model, op)
    weights = 2 * tensor(model, op.weights) - 1  # [kh, c_out]
    total = np.zeros(shape, np.int64)
    repeats = shape[2] // x.shape[2]
    for tap, (under, exists) in enumerate(taps(op, x.astype(np.int64), shape)):
        read = np.tile(under, (1, 1, repeats))  # output channel c reads input channel c % c_in
        total += np.where(exists, (2 * read - 1) * weights[tap], 0)
    return total


def elementwise(model: ModelFile, op: Op, x: Array) -> Array:
    """Return the input."""
    return x


def average_pool(model: ModelFile, op: Op, x: Array) -> Array:
    """Mean of a window or of all positions: the sum in order from 0, times the quotient 1 / taps."""
    if op.kernel == (0, 0):
        height, width = x.shape[:2]
        op = replace(op, kernel=(height, width), stride=(1, 1), dilation=(1, 1))
    total = np.zeros(out_shape(model, op), np.float32)
    for under, exists in taps(op, x, total.shape):
        total = np.where(exists, total + under, total)
    return total * (np.float32(1) / np.float32(op.kernel[0] * op.kernel[1]))


def max_pool(model: ModelFile, op: Op, x: Array) -> Array:
    """Return the largest existing tap: the first one, then each later one that is above it."""
    shape = out_shape(model, op)
    largest = np.zeros(shape, np.float32)
    found = np.zeros((*shape[:2], 1), bool)
    for under, exists in taps(op, x, shape):
        largest = np.where(exists & (~found | (under > largest)), under, largest)
        found |= exists
    return largest


def subsample(model: ModelFile, op: Op, x: Array) -> Array:
    """Every n-th position, between channels of zeros (one more behind where their number is odd)."""
    out = np.zeros(out_shape(model, op), np.float32)
    before = (out.shape[2] - x.shape[2]) // 2
    read = x[:: op.stride[0], :: op.stride[1]][: out.shape[0], : out.shape[1]]
    out[:, :, before : before + x.shape[2]] = read
    return out


SUMS: dict[str, Callable[[ModelFile, Op, Array], Array]] = {
    "conv2d": conv2d,
    "binary_conv2d": binary_conv2d,
    "binary_memory": binary_memory,
    "elementwise": elementwise,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "subsample": subsample,
    "byte_conv2d": byte_conv2d,
}
