"""A net as an ONNX graph in standard operators (extra `onnx`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bifast.errors import UnsupportedError
from bifast.format import Buffer, Op, Tensor

Array = NDArray[np.float32]

OPSET = 17
IR_VERSION = 8


class Wired(Protocol):
    """Activations, tensors and operations: a `ModelFile`, or what an exporter has collected."""

    @property
    def buffers(self) -> Sequence[Buffer]:
        """The activations; the first is the input, the last holds the logits."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Weights and tables."""

    @property
    def ops(self) -> Sequence[Op]:
        """The operations of all depths, in order."""


@dataclass
class _Graph:
    """Nodes and constants so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def sign(self, value: str, threshold: str) -> str:
        """+1 where value >= threshold, else -1."""
        above = self.add("GreaterOrEqual", value, threshold)
        return self.add("Where", above, self.constant(1.0), self.constant(-1.0))


class _Translator:
    """Turns the operations of one depth into nodes; values are [batch, channels, time, mel]."""

    def __init__(self, net: Wired) -> None:
        self.net = net
        self.graph = _Graph()
        # Where signs are read, the affine map has to round as the engine does: apart from the product.
        self.binary = any(buffer.type != "f32" for buffer in net.buffers)
        height, width, channels = net.buffers[0].shape
        shape = self.graph.constant([0, height, width, channels], np.int64)
        clips = self.graph.add("Reshape", "features", shape)
        # Buffer -> the value it holds, or the two planes of it.
        self.values: dict[int, tuple[str, ...]] = {
            0: (self.graph.add("Transpose", clips, perm=[0, 3, 1, 2]),)
        }

    def translate(self, op: Op) -> None:
        """Add one operation."""
        planes = self.values[op.input]
        if op.code == "quantise":
            assert op.out_f32 is not None
            self.values[op.out_f32] = (self.bytes(op, planes[0]),)
            return
        if op.code.endswith("_pool"):
            name = self.pool(op, planes[0])
        elif op.code == "subsample":
            name = self.subsample(op, planes[0])
        elif op.code == "elementwise":
            name = planes[0]
        else:
            name = self.convolution(op, planes[0])
            if len(planes) > 1:
                second = self.convolution(op, planes[1])
                worth = self.graph.constant(np.float32(op.plane_scale))
                name = self.graph.add("Add", name, self.graph.add("Mul", worth, second))
        bits: tuple[str, ...]
        if op.flip is not None:
            bits = (self.threshold(op, name),)
        else:
            name = self.affine(op, name)
            bits = self.signs(op, name) if self.binary and op.out_bits is not None else (name,)
        if op.out_f32 is not None:
            self.values[op.out_f32] = (name,)
        if op.out_bits is not None:
            self.values[op.out_bits] = bits

    def bytes(self, op: Op, name: str) -> str:
        """Add floats to bytes: whole numbers in float32."""
        name = self.affine(op, name)
        return self.graph.add(
            "Floor",
            self.graph.add("Clip", name, self.graph.constant(0.0), self.graph.constant(255.0)),
        )

    def signs(self, op: Op, name: str) -> tuple[str, ...]:
        """Add the signs of a value: one plane, or a second one of what the first leaves over."""
        assert op.out_bits is not None
        two = self.net.buffers[op.out_bits].type == "bits2"
        limits: list[Any] = [0.0, 0.0]
        if op.threshold is not None:
            limits = [self.column(row) for row in self.tensor(op.threshold)]
        first = self.graph.sign(name, self.graph.constant(limits[0]))
        if not two:
            return (first,)
        rest = self.graph.add("Sub", name, first)
        return first, self.graph.sign(rest, self.graph.constant(limits[1]))

    def convolution(self, op: Op, name: str) -> str:
        """Add the product, with scale and shift folded into it where nothing is 1-bit."""
        weights = self.weights(op)
        inputs = [name]
        if self.binary or op.scale is None:
            inputs.append(self.graph.constant(weights))
        else:
            scale, shift = self.tensor(op.scale), self.tensor(op.shift)
            inputs += [
                self.graph.constant(weights * scale.reshape(-1, 1, 1, 1)),
                self.graph.constant(shift.reshape(-1)),
            ]
        channels = self.net.buffers[op.input].channels
        memory = op.code.endswith("memory")
        if memory and len(weights) > channels:
            # Output channel c reads input channel c modulo their number.
            inputs[0] = self.graph.add("Concat", *[name] * (len(weights) // channels), axis=1)
        groups = len(weights) if memory else 1
        window = self.window(op)
        if op.fill:
            # Conv pads with zeros.
            top, left, bottom, right = window["pads"]
            pads = self.graph.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
            inputs[0] = self.graph.add("Pad", name, pads, self.graph.constant(float(op.fill)))
            window["pads"] = [0, 0, 0, 0]
        return self.graph.add("Conv", *inputs, **window, group=groups)

    def pool(self, op: Op, name: str) -> str:
        """Add pooling over a window or over all positions."""
        if op.kernel == (0, 0):
            return self.graph.add("GlobalAveragePool", name)
        window = self.window(op)
        if op.code == "max_pool":
            return self.graph.add("MaxPool", name, **window)
        if window.pop("dilations") != [1, 1]:
            raise UnsupportedError(f"{op.name}: ONNX has no average over taps that lie apart")
        return self.graph.add("AveragePool", name, **window, count_include_pad=1)

    def subsample(self, op: Op, name: str) -> str:
        """Add every n-th position, between channels of zeros."""
        out = self.output(op)
        ends = [(out[i] - 1) * op.stride[i] + 1 for i in (0, 1)]
        slices = ([0, 0], ends, [2, 3], list(op.stride))
        name = self.graph.add(
            "Slice", name, *(self.graph.constant(numbers, np.int64) for numbers in slices)
        )
        more = out[2] - self.net.buffers[op.input].channels
        pads = [0, more // 2, 0, 0, 0, more - more // 2, 0, 0]
        return self.graph.add("Pad", name, self.graph.constant(pads, np.int64))

    def window(self, op: Op) -> dict[str, list[int]]:
        """Return the geometry of an operation as attributes of a node."""
        size, out = self.net.buffers[op.input].shape, self.output(op)
        after = [
            max(0, (out[i] - 1) * op.stride[i] + (op.kernel[i] - 1) * op.dilation[i] + 1
                - op.pad[i] - size[i])
            for i in (0, 1)
        ]  # fmt: skip
        return {
            "kernel_shape": list(op.kernel),
            "strides": list(op.stride),
            "dilations": list(op.dilation),
            "pads": [*op.pad, *after],
        }

    def output(self, op: Op) -> tuple[int, int, int]:
        """Return the shape of what an operation writes."""
        written = op.out_f32 if op.out_f32 is not None else op.out_bits
        assert written is not None
        return self.net.buffers[written].shape

    def weights(self, op: Op) -> Array:
        """Return weights as [c_out, c_in / group, kernel height, kernel width]."""
        stored = self.tensor(op.weights)
        height, width = op.kernel
        if op.code in ("conv2d", "byte_conv2d"):
            return stored.reshape(height, width, -1, stored.shape[1]).transpose(3, 2, 0, 1)
        if op.code.endswith("memory"):
            shaped = stored.T.reshape(-1, 1, height, 1)
        else:
            shaped = stored.reshape(len(stored), height, width, -1).transpose(0, 3, 1, 2)
        return 2 * shaped - 1 if op.code.startswith("binary") else shaped

    def threshold(self, op: Op, name: str) -> str:
        """Add the threshold on an integer sum."""
        limit = self.column(self.tensor(op.threshold))
        side = self.column(1 - 2 * self.tensor(op.flip))
        above = self.graph.sign(name, self.graph.constant(limit))
        return self.graph.add("Mul", above, self.graph.constant(side))

    def affine(self, op: Op, name: str) -> str:
        """Add scale, shift, PReLU and residual, each a node of its own."""
        if op.scale is not None and (self.binary or op.weights is None):
            # onnxruntime folds Mul(product, constant) into the weights, which rounds otherwise and
            # moves signs; it leaves Mul(constant, product) alone.
            scale = self.graph.constant(self.column(self.tensor(op.scale)))
            name = self.graph.add("Mul", scale, name)
            shift = self.graph.constant(self.column(self.tensor(op.shift)))
            name = self.graph.add("Add", name, shift)
        if op.slope is not None:
            slope = self.tensor(op.slope)
            if slope.any():
                name = self.graph.add("PRelu", name, self.graph.constant(self.column(slope)))
            else:
                name = self.graph.add("Relu", name)
        if op.residual is not None:
            name = self.graph.add("Add", name, *self.values[op.residual])
        return name

    def tensor(self, index: int | None) -> Array:
        """Return a tensor as float32 [rows, cols]."""
        assert index is not None
        return np.asarray(self.net.tensors[index].array, np.float32)

    @staticmethod
    def column(array: Array) -> Array:
        """[1, c] -> [c, 1, 1], which broadcasts over time and mel."""
        return array.reshape(-1, 1, 1)


def to_onnx(net: Wired, depth: int, *, batch: int | None = None) -> bytes:
    """Translate a net at one depth.

    A graph with bits gives the engine's logits but for the order of float sums: the first and the last
    layer's. Bits are +-1 in float32, sums of them are exact integers, and scale, shift, PReLU and
    residual are rounded one by one as in the engine.

    Parameters
    ----------
    net
        A model file, or a net of the same operations with real weights (code `memory` for a depthwise
        filter over time): then scale and shift are folded into the weights.
    depth
        Index of the depth.
    batch
        Clips a call; None for any number.

    Returns
    -------
    bytes
        A model with the input `features` [batch, time, mel], or [batch, time, mel, channels] for more
        than one channel: what `Model.run_features` takes, float32. Its output is `logits`
        [batch, classes].
    """
    translator = _Translator(net)
    for op in net.ops:
        if op.depth_mask >> depth & 1:
            translator.translate(op)
    graph = translator.graph
    last = len(net.buffers) - 1
    graph.nodes.append(helper.make_node("Flatten", [*translator.values[last]], ["logits"]))
    height, width, channels = net.buffers[0].shape
    clips = "batch" if batch is None else batch
    shape = [clips, height, width] if channels == 1 else [clips, height, width, channels]
    classes = int(np.prod(net.buffers[last].shape))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bifast",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [clips, classes])],
            graph.constants,
        ),
        producer_name="bifast",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data
