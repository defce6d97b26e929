"""The rules of docs/format.md for one operation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bifast.errors import FormatError
from bifast.format import layout
from bifast.format.records import Buffer, Contents, Op, Tensor

FLOATS = ("f32", "f16", "i8")
BITS = layout.BITS
Indices = npt.NDArray[np.int64]
MAX_F32 = float(np.finfo(np.float32).max)


class OpCheck:
    """Checks of one operation against the buffers and tensors of its file."""

    def __init__(self, op: Op, contents: Contents) -> None:
        self.op = op
        self.contents = contents

    def require(self, condition: bool, message: str) -> None:
        """Raise FormatError naming the operation unless the condition holds."""
        if not condition:
            raise FormatError(f"operation {self.op.name!r}: {message}")

    def buffer(self, role: str, *types: str) -> Buffer | None:
        """Return the buffer of a role, or None where the operation has none."""
        index = getattr(self.op, role)
        if index is None:
            return None
        count = len(self.contents.buffers)
        self.require(0 <= index < count, f"{role}: expected a buffer below {count}, got {index}")
        buffer: Buffer = self.contents.buffers[index]
        self.require(
            buffer.type in types,
            f"{role}: expected a buffer of {' or '.join(types)}, got {buffer.type}",
        )
        return buffer

    def tensor(
        self, role: str, dtypes: tuple[str, ...], shapes: tuple[tuple[int, int], ...]
    ) -> Tensor | None:
        """Return the tensor of a role, or None where the operation has none."""
        index = getattr(self.op, role)
        if index is None:
            return None
        count = len(self.contents.tensors)
        self.require(0 <= index < count, f"{role}: expected a tensor below {count}, got {index}")
        tensor: Tensor = self.contents.tensors[index]
        self.require(tensor.dtype in dtypes, f"{role}: expected {dtypes}, got {tensor.dtype}")
        self.require(
            tensor.array.shape in shapes,
            f"{role}: expected shape {shapes}, got {tensor.array.shape}",
        )
        return tensor


def check_op(op: Op, contents: Contents) -> None:
    """Check one operation: its name, buffers, geometry, weights and output stage.

    Raises
    ------
    FormatError
        Naming the operation, the field, what was expected and what was found.
    """
    check = OpCheck(op, contents)
    check.require(
        op.code in layout.OP_KINDS, f"code: expected {list(layout.OP_KINDS)}, got {op.code!r}"
    )
    check.require(
        op.name.isascii() and op.name.isprintable() and 1 <= len(op.name) <= layout.OP_NAME_BYTES,
        f"name: expected 1 .. {layout.OP_NAME_BYTES} printable ASCII characters",
    )
    check.require(
        0 < op.depth_mask < 1 << len(contents.depths),
        f"depth_mask: expected bits of {len(contents.depths)} depths, got {op.depth_mask:#x}",
    )
    kind = layout.OP_KINDS[op.code]
    source = check.buffer("input", *kind.reads)
    target = check_outputs(check, kind)
    if source is None:
        raise FormatError(f"operation {op.name!r}: input: expected a buffer, got none")
    check_aliases(check)
    GEOMETRY[op.code](check, source, target)
    if not kind.has_weights:
        check.require(op.weights is None, f"weights: {op.code} has none")
    check_plane_scale(check, source)
    low, high = 0, 255 if op.code == "byte_conv2d" else 0
    check.require(low <= op.fill <= high, f"fill: expected {low} .. {high}, got {op.fill}")
    if op.code == "quantise":
        check_quantise(check)
        return
    check_stage(check, kind, target.channels, source)


def check_outputs(check: OpCheck, kind: layout.OpKind) -> Buffer:
    """Check the output buffers and the residual; return the shape that they share."""
    outputs = [
        buffer
        for buffer in (check.buffer("out_f32", kind.out_f32), check.buffer("out_bits", *BITS))
        if buffer is not None
    ]
    check.require(len(outputs) > 0, "expected out_f32 or out_bits, got neither")
    target = outputs[0]
    residual = check.buffer("residual", "f32")
    for role, buffer in (("out_bits", outputs[-1]), ("residual", residual)):
        if buffer is not None:
            check.require(
                buffer.shape == target.shape,
                f"{role}: expected the output's shape {target.shape}, got {buffer.shape}",
            )
    return target


def check_aliases(check: OpCheck) -> None:
    """Check that only an elementwise operation may write what it reads."""
    op = check.op
    in_place = op.code == "elementwise" and op.input == op.out_f32
    check.require(
        in_place or op.input not in (op.out_f32, op.out_bits),
        f"input: {op.code} cannot write the buffer that it reads ({op.input})",
    )


def check_plane_scale(check: OpCheck, source: Buffer) -> None:
    """Check that an input of two planes, and no other, has the scale of the second."""
    scale = check.op.plane_scale
    if source.type == "bits2":
        holds = 0 < scale <= MAX_F32 and float(np.float32(scale)) > 0
        check.require(holds, f"plane_scale: expected a positive float32, got {scale}")
    else:
        none = scale == 0 and math.copysign(1, scale) > 0
        check.require(none, f"plane_scale: expected 0 without a second plane, got {scale}")


def check_conv(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check a convolution's geometry and weights."""
    op = check.op
    check_taps(check, source, target)
    k = taps(op, source)
    if op.code == "conv2d":
        check.require(k <= layout.MAX_FLOAT_K, f"expected K <= {layout.MAX_FLOAT_K}, got {k}")
        weights = check.tensor("weights", FLOATS, ((k, target.channels),))
    else:
        check.require(k <= layout.MAX_BINARY_K, f"expected K <= {layout.MAX_BINARY_K}, got {k}")
        weights = check.tensor("weights", ("bits",), ((target.channels, k),))
    check.require(weights is not None, "weights: expected a tensor, got none")


def check_byte_conv(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check a convolution of bytes: windows without gaps, weights of bytes."""
    op = check.op
    check_taps(check, source, target)
    check.require(op.dilation == (1, 1), f"dilation: expected (1, 1), got {op.dilation}")
    for axis in range(2):
        check.require(
            op.stride[axis] <= op.kernel[axis],
            f"stride: expected at most the kernel {op.kernel}, got {op.stride}",
        )
    k = taps(op, source)
    check.require(k <= layout.MAX_BINARY_K, f"expected K <= {layout.MAX_BINARY_K}, got {k}")
    weights = check.tensor("weights", ("i8",), ((k, target.channels),))
    check.require(weights is not None, "weights: expected a tensor, got none")


def check_memory(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check a depthwise filter along time: width 1, stride 1, a multiple of the channels."""
    op = check.op
    check_taps(check, source, target)
    check.require(op.kernel[1] == 1, f"kernel width: expected 1, got {op.kernel[1]}")
    check.require(op.stride == (1, 1), f"stride: expected (1, 1), got {op.stride}")
    check.require(op.pad[1] == 0, f"pad: expected no padding of the width, got {op.pad[1]}")
    for role, buffer in (("input", source), ("output", target)):
        check.require(buffer.width == 1, f"{role}: expected width 1, got {buffer.width}")
    check.require(
        target.channels % source.channels == 0,
        f"channels: expected a multiple of the input's {source.channels}, got {target.channels}",
    )
    k = taps(op, source)
    check.require(k <= layout.MAX_BINARY_K, f"expected K <= {layout.MAX_BINARY_K}, got {k}")
    weights = check.tensor("weights", ("bits",), ((k, target.channels),))
    check.require(weights is not None, "weights: expected a tensor, got none")


def check_elementwise(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check that the shape is kept and that there is no geometry."""
    check_no_geometry(check, "kernel", "stride", "pad", "dilation")
    check.require(
        source.shape == target.shape,
        f"output: expected the input's shape {source.shape}, got {target.shape}",
    )


def check_average_pool(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check a window, or without a kernel that one value for each channel remains."""
    if check.op.kernel == (0, 0):
        check_no_geometry(check, "kernel", "stride", "pad", "dilation")
        expected = (1, 1, source.channels)
        check.require(target.shape == expected, f"output: expected {expected}, got {target.shape}")
        return
    check_taps(check, source, target)
    check_same_channels(check, source, target)


def check_max_pool(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check a window of which some part always lies inside the input."""
    check_taps(check, source, target)
    check_same_channels(check, source, target)
    for axis in range(2):
        first, last = existing_taps(check.op, axis, source.shape[axis], target.shape[axis])
        check.require(bool((first < last).all()), "pad: a window lies outside the input")


def check_subsample(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check that all positions that are read exist, and that no channel is lost."""
    check_no_geometry(check, "kernel", "pad", "dilation")
    for axis in range(2):
        stride = check.op.stride[axis]
        check.require(
            1 <= stride <= layout.MAX_DIMENSION,
            f"stride: expected 1 .. {layout.MAX_DIMENSION}, got {check.op.stride}",
        )
        check.require(
            (target.shape[axis] - 1) * stride < source.shape[axis],
            f"output: {target.shape} reads positions outside the input {source.shape}",
        )
    check.require(
        target.channels >= source.channels,
        f"channels: expected at least the input's {source.channels}, got {target.channels}",
    )


def check_same_channels(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check that the channels stay."""
    check.require(
        target.channels == source.channels,
        f"channels: expected the input's {source.channels}, got {target.channels}",
    )


GEOMETRY = {
    "conv2d": check_conv,
    "binary_conv2d": check_conv,
    "binary_memory": check_memory,
    "elementwise": check_elementwise,
    "average_pool": check_average_pool,
    "max_pool": check_max_pool,
    "subsample": check_subsample,
    "byte_conv2d": check_byte_conv,
    "quantise": check_elementwise,
}


def check_taps(check: OpCheck, source: Buffer, target: Buffer) -> None:
    """Check the ranges of the geometry, and that its borders do not need too many tables."""
    op = check.op
    ranges = {
        "kernel": (1, layout.MAX_KERNEL),
        "stride": (1, layout.MAX_DIMENSION),
        "pad": (0, layout.MAX_DIMENSION),
        "dilation": (1, layout.MAX_DIMENSION),
    }
    for field, (low, high) in ranges.items():
        pair = getattr(op, field)
        check.require(
            all(low <= value <= high for value in pair),
            f"{field}: expected {low} .. {high}, got {pair}",
        )
    borders = 1
    for axis in range(2):
        borders *= tap_sets(op, axis, source.shape[axis], target.shape[axis])
    check.require(
        borders * op.kernel[0] * op.kernel[1] * target.channels <= layout.MAX_BORDER_TAPS,
        f"pad: makes {borders} different borders, too many for this kernel",
    )


def existing_taps(op: Op, axis: int, size: int, out: int) -> tuple[Indices, Indices]:
    """Find the first and the last (exclusive) existing tap of each output along one axis."""
    kernel, dilation = op.kernel[axis], op.dilation[axis]
    start = np.arange(out, dtype=np.int64) * op.stride[axis] - op.pad[axis]
    first = np.clip(-(start // dilation), 0, kernel)
    last = np.clip(-((start - size) // dilation), 0, kernel)
    return first, last


def tap_sets(op: Op, axis: int, size: int, out: int) -> int:
    """Count the different sets of existing taps along one axis."""
    first, last = existing_taps(op, axis, size, out)
    sets = np.where(last > first, first * (layout.MAX_KERNEL + 1) + last, 0)
    return len(np.unique(sets))


def check_no_geometry(check: OpCheck, *fields: str) -> None:
    """Check that fields of the geometry are zero."""
    for field in fields:
        pair = getattr(check.op, field)
        check.require(pair == (0, 0), f"{field}: {check.op.code} has none, got {pair}")


def check_stage(check: OpCheck, kind: layout.OpKind, channels: int, source: Buffer) -> None:
    """Check the output stage: integer thresholds, or scale, shift, slope, residual and signs."""
    op = check.op
    if op.flip is not None:
        check.require(kind.reads_bits, f"flip: {op.code} has none")
        check_threshold(check, channels, source)
        return
    check.require(
        (op.scale is None) == (op.shift is None), "scale and shift: expected both or neither"
    )
    check.tensor("scale", FLOATS, ((1, channels),))
    check.tensor("shift", FLOATS, ((1, channels),))
    check.tensor("slope", FLOATS, ((1, channels), (1, 1)))
    if op.threshold is not None:
        bits = check.buffer("out_bits", *BITS)
        if bits is None:
            raise FormatError(f"operation {op.name!r}: threshold: expected out_bits with it")
        check.tensor("threshold", FLOATS, ((layout.PLANES[bits.type], channels),))


def check_quantise(check: OpCheck) -> None:
    """Check that there is one scale and one shift, and nothing else."""
    for role in ("scale", "shift"):
        found = check.tensor(role, FLOATS, ((1, 1),))
        check.require(found is not None, f"{role}: expected a tensor, got none")
    for role in ("slope", "threshold", "flip", "residual", "out_bits"):
        check.require(getattr(check.op, role) is None, f"{role}: quantise has none")


def check_threshold(check: OpCheck, channels: int, source: Buffer) -> None:
    """Check integer thresholds: alone, in range, from one plane of bits to one plane."""
    op, k = check.op, taps(check.op, source)
    for role in ("scale", "shift", "slope", "residual", "out_f32"):
        check.require(getattr(op, role) is None, f"{role}: expected none beside flip")
    check.buffer("input", "bits")
    check.buffer("out_bits", "bits")
    check.tensor("flip", ("bits",), ((1, channels),))
    threshold = check.tensor("threshold", ("i16", "i32"), ((1, channels),))
    check.require(threshold is not None, "threshold: expected a tensor with flip, got none")
    if threshold is not None:
        low, high = int(threshold.array.min()), int(threshold.array.max())
        check.require(
            -k <= low and high <= k + 1,
            f"threshold: expected {-k} .. {k + 1}, got {low} .. {high}",
        )


def taps(op: Op, source: Buffer) -> int:
    """Products that one output sums (K); 0 where an operation has no kernel."""
    positions = op.kernel[0] * op.kernel[1]
    return positions if op.code == "binary_memory" else positions * source.channels


def multiply_adds(op: Op, contents: Contents) -> int:
    """Multiply-adds of one run of an operation; those without weights count the values they read."""
    source = contents.buffers[op.input]
    index = op.out_bits if op.out_f32 is None else op.out_f32
    if (
        index is None
        or op.code in ("elementwise", "quantise")
        or (op.code, op.kernel) == ("average_pool", (0, 0))
    ):
        return math.prod(source.shape)
    values = math.prod(contents.buffers[index].shape)
    if op.code in ("average_pool", "max_pool"):
        return values * op.kernel[0] * op.kernel[1]
    if op.code == "subsample":
        return values
    return values * taps(op, source) * layout.PLANES.get(source.type, 1)
