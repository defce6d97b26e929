"""The float twin of a `.bifast` model: the same layers with real weights, ReLU where bits were made.

Its weights are random: that is enough for its time, which is all that it is for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bifast.format import Buffer, ModelFile, Op, Tensor


@dataclass
class FloatTwin:
    """What `bifast.onnx_graph.to_onnx` asks of a net."""

    buffers: list[Buffer]
    tensors: list[Tensor]
    ops: list[Op]


def float_twin(model: ModelFile) -> FloatTwin:
    """Replace signs by ReLU, bits by random weights."""
    random = np.random.default_rng(0)
    twin = FloatTwin(
        [replace(buffer, type="f32") for buffer in model.buffers], list(model.tensors), []
    )

    def added(array: np.ndarray) -> int:
        twin.tensors.append(Tensor("f32", array.astype(np.float32)))
        return len(twin.tensors) - 1

    for op in model.ops:
        if op.code == "quantise":
            op = replace(op, code="elementwise", scale=None, shift=None)
        if op.code.startswith("binary"):
            assert op.weights is not None
            rows, cols = model.tensors[op.weights].array.shape
            taps = op.kernel[0] if op.code == "binary_memory" else cols
            array = random.normal(0, taps**-0.5, (rows, cols))
            # A real convolution has an output channel per column, a binary one per row.
            real = array.T if op.code == "binary_conv2d" else array
            op = replace(op, code=op.code.removeprefix("binary_"), weights=added(real))
        if op.flip is not None:
            assert op.threshold is not None
            channels = model.tensors[op.threshold].array.shape[1]
            op = replace(
                op, flip=None, scale=added(np.ones((1, channels))),
                shift=added(np.zeros((1, channels))), slope=added(np.zeros((1, 1))),
            )  # fmt: skip
        twin.ops.append(replace(op, threshold=None, fill=0))
    return twin
