"""The rules of docs/format.md that go beyond layout: shapes, references, geometry, order, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bifast.errors import FormatError
from bifast.format import layout
from bifast.format.op_checks import check_op, multiply_adds
from bifast.format.records import Buffer, Contents, FrontendParams, Op, Tensor
from bifast.word import check_word

LARGEST = float(np.finfo(np.float32).max)


def require(condition: bool, message: str) -> None:
    """Raise FormatError(message) unless the condition holds."""
    if not condition:
        raise FormatError(message)


def check(contents: Contents) -> None:
    """Check all that docs/format.md says about the meaning of a file.

    Raises
    ------
    FormatError
        Saying what is wrong, what was expected and what was found.
    """
    check_names("labels", contents.labels)
    check_names("depths", contents.depths)
    require(
        len(contents.depths) <= layout.MAX_DEPTHS,
        f"depths: expected at most {layout.MAX_DEPTHS}, got {len(contents.depths)}",
    )
    check_counts(contents)
    check_buffers(contents.buffers, len(contents.labels))
    if contents.frontend is not None:
        check_frontend(contents.frontend)
        check_features(contents.frontend, contents.buffers[0])
    check_words(contents)
    check_cascade(contents)
    for index, tensor in enumerate(contents.tensors):
        check_tensor(index, tensor)
    for op in contents.ops:
        check_op(op, contents)
    work = sum(multiply_adds(op, contents) for op in contents.ops)
    require(
        work <= layout.MAX_MULTIPLY_ADDS,
        f"ops: expected at most {layout.MAX_MULTIPLY_ADDS} multiply-adds together, got {work}",
    )
    for depth, name in enumerate(contents.depths):
        check_depth(contents, depth, name)


def check_names(what: str, names: Sequence[str]) -> None:
    """Check that names are there, not empty, unique, and free of NUL."""
    require(len(names) > 0, f"{what}: expected at least one, got none")
    require(all(names), f"{what}: expected names that are not empty, got {list(names)}")
    require(len(set(names)) == len(names), f"{what}: expected unique names, got {list(names)}")
    require(not any("\0" in name for name in names), f"{what}: a name holds a NUL byte")


def check_words(contents: Contents) -> None:
    """Check the words' settings: one for each label, in range."""
    if not contents.words:
        return
    expected, got = len(contents.labels), len(contents.words)
    require(got == expected, f"words: expected {expected}, one for each label, got {got}")
    for label, word in zip(contents.labels, contents.words, strict=True):
        try:
            if word is not None:
                check_word(label, word)
        except (TypeError, ValueError) as error:
            raise FormatError(f"words: {error}") from error


def check_cascade(contents: Contents) -> None:
    """Check the levels of the cascade: one for each depth, the deepest always taken."""
    if not contents.cascade:
        return
    expected, got = len(contents.depths), len(contents.cascade)
    require(got == expected, f"cascade: expected {expected}, one for each depth, got {got}")
    for depth, level in zip(contents.depths, contents.cascade, strict=True):
        if level is None:
            continue
        for margin in (level.word, level.other):
            fits = 0 <= margin <= LARGEST and float(np.float32(margin)) == margin
            require(fits, f"cascade: {depth}: expected float32, 0 or more, got {margin}")
    first = contents.cascade[0]
    require(
        first is not None and first.word == 0 == first.other,
        f"cascade: expected margins 0 at the deepest depth, got {first}",
    )


def check_counts(contents: Contents) -> None:
    """Check the numbers of buffers, tensors and operations."""
    for what in ("labels", "buffers", "tensors", "ops"):
        count = len(getattr(contents, what))
        require(
            count <= layout.MAX_RECORDS,
            f"{what}: expected at most {layout.MAX_RECORDS}, got {count}",
        )
    require(len(contents.buffers) >= 2, "buffers: expected at least an input and an output")
    require(len(contents.ops) > 0, "ops: expected at least one, got none")


def buffer_bytes(buffer: Buffer) -> int:
    """Bytes of a buffer while the model runs."""
    planes = layout.PLANES.get(buffer.type, 1)
    row = layout.buffer_row_bytes(buffer.type, buffer.channels)
    return buffer.height * buffer.width * row * planes


def check_buffers(buffers: Sequence[Buffer], n_labels: int) -> None:
    """Check types and sizes, and the shapes of input and output."""
    for index, buffer in enumerate(buffers):
        require(
            buffer.type in layout.BUFFER_TYPES,
            f"buffer {index}: expected type {layout.BUFFER_TYPES}, got {buffer.type!r}",
        )
        require(
            all(1 <= size <= layout.MAX_DIMENSION for size in buffer.shape),
            f"buffer {index}: expected dimensions 1 .. {layout.MAX_DIMENSION}, got {buffer.shape}",
        )
    total = sum(buffer_bytes(buffer) for buffer in buffers)
    require(
        total <= layout.MAX_BUFFER_BYTES,
        f"buffers: expected at most {layout.MAX_BUFFER_BYTES} bytes together, got {total}",
    )
    require(
        buffers[0].type in ("f32", "u8"),
        f"buffer 0: the input must be f32 or u8, got {buffers[0].type}",
    )
    last = buffers[-1]
    require(
        last.type == "f32" and last.shape == (1, 1, n_labels),
        f"last buffer: expected f32 {(1, 1, n_labels)} for {n_labels} labels, "
        f"got {last.type} {last.shape}",
    )


def check_frontend(params: FrontendParams) -> None:
    """Check the ranges of the front-end's parameters."""
    n_fft = params.n_fft
    rules = (
        (
            1 <= params.sample_rate <= 1_000_000,
            "sample_rate in 1 .. 1000000 Hz",
            params.sample_rate,
        ),
        (
            16 <= n_fft <= 4096 and n_fft & (n_fft - 1) == 0,
            "n_fft a power of two in 16 .. 4096",
            n_fft,
        ),
        (1 <= params.win_length <= n_fft, "win_length in 1 .. n_fft", params.win_length),
        (params.hop >= 1, "hop >= 1", params.hop),
        (1 <= params.n_mels <= 256, "n_mels in 1 .. 256", params.n_mels),
        (math.isfinite(params.f_min) and params.f_min >= 0, "f_min >= 0", params.f_min),
        (
            params.f_max - params.f_min >= 1 and params.f_max <= params.sample_rate / 2,
            "f_max at least f_min + 1 and at most sample_rate / 2",
            params.f_max,
        ),
        (
            1e-6 <= params.power_divisor <= 1e12,
            "power_divisor in 1e-6 .. 1e12",
            params.power_divisor,
        ),
        (1e-30 <= params.floor <= 1e6, "floor in 1e-30 .. 1e6", params.floor),
        (
            (n_fft // 2 + 1 if params.center else n_fft) <= params.window_samples <= 1 << 26,
            "window_samples above n_fft / 2 (center) or at least n_fft, and at most 2^26",
            params.window_samples,
        ),
    )
    for holds, expected, got in rules:
        require(holds, f"front-end: expected {expected}, got {got}")


def check_features(params: FrontendParams, first: Buffer) -> None:
    """Check that the front-end fills buffer 0."""
    shape = (params.n_frames, params.n_mels, 1)
    require(
        (first.type, first.shape) == ("f32", shape),
        f"buffer 0: expected f32 {shape} for the front-end, got {first.type} {first.shape}",
    )


def check_tensor(index: int, tensor: Tensor) -> None:
    """Check that a tensor is not empty and that its floats are finite."""
    require(
        tensor.rows >= 1 and tensor.cols >= 1,
        f"tensor {index}: expected at least one row and column, got {tensor.array.shape}",
    )
    if tensor.dtype in ("f32", "f16"):
        require(bool(np.isfinite(tensor.array).all()), f"tensor {index}: values must be finite")


def op_inputs(op: Op) -> list[int]:
    """Buffers that an operation reads."""
    return [op.input] if op.residual is None else [op.input, op.residual]


def check_depth(contents: Contents, depth: int, name: str) -> None:
    """Check that everything is written before it is read, and the work of one run."""
    written = {0}
    for op in contents.ops:
        if not op.depth_mask >> depth & 1:
            continue
        for index in op_inputs(op):
            require(
                index in written,
                f"{op.name}: reads buffer {index}, which nothing wrote before at depth {name!r}",
            )
        written.update(index for index in (op.out_f32, op.out_bits) if index is not None)
    last = len(contents.buffers) - 1
    require(last in written, f"depth {name!r}: nothing writes the last buffer")
