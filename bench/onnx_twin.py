"""A `.bifast` model as an ONNX graph: the binary net in standard operators, or its float twin.

The binary graph must give the engine's logits: that proves the translation. The float twin is the same
graph without the signs: real weights, each scale and shift folded into its convolution, and a ReLU
where the binary net has a threshold. Values are [1, channels, time, mel].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bifast.format import ModelFile, Op

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass
class Graph:
    """Nodes and constants so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def sign(self, value: str, threshold: str) -> str:
        above = self.add("GreaterOrEqual", value, threshold)
        return self.add("Where", above, self.constant(1.0), self.constant(-1.0))


class Translator:
    """Turns the operations of one depth into nodes."""

    def __init__(self, model: ModelFile, *, binary: bool) -> None:
        self.model = model
        self.binary = binary
        self.graph = Graph()
        self.values: dict[int, str] = {0: "features"}  # buffer -> the value it holds
        self.random = np.random.default_rng(0)

    def tensor(self, index: int) -> Array:
        return np.asarray(self.model.tensors[index].array, np.float32)

    def column(self, array: Array) -> Array:
        """[1, c] -> [c, 1, 1], which broadcasts over time and mel."""
        return array.reshape(-1, 1, 1)

    def translate(self, op: Op) -> None:
        if "bits2" in (
            self.model.buffers[i].type for i in (op.input, op.out_bits) if i is not None
        ):
            raise ValueError(f"{op.name}: the twin has no operators for bits in two planes")
        if op.threshold is not None and op.flip is None:
            raise ValueError(f"{op.name}: the twin has no operators for thresholds of signs")
        name = self.values[op.input]
        if op.code == "average_pool":
            name = self.graph.add("GlobalAveragePool", name)
        elif op.code != "elementwise":
            name = self.convolution(op, name)
        folded = not self.binary and op.code.endswith(("conv2d", "memory"))
        name = (
            self.threshold(op, name) if op.threshold is not None else self.affine(op, name, folded)
        )
        if op.out_f32 is not None:
            self.values[op.out_f32] = name
        if op.out_bits is not None:
            signs = self.binary and op.threshold is None
            self.values[op.out_bits] = (
                self.graph.sign(name, self.graph.constant(0.0)) if signs else name
            )

    def convolution(self, op: Op, name: str) -> str:
        weights = self.weights(op)
        inputs = [name]
        if self.binary:
            inputs.append(self.graph.constant(weights))
        else:
            bias = np.zeros(weights.shape[0], np.float32)
            if op.scale is not None and op.shift is not None:
                weights = weights * self.tensor(op.scale).reshape(-1, 1, 1, 1)
                bias = self.tensor(op.shift).reshape(-1)
            inputs += [self.graph.constant(weights), self.graph.constant(bias)]
        size = self.model.buffers[op.input].shape
        written = op.out_f32 if op.out_f32 is not None else op.out_bits
        assert written is not None
        out = self.model.buffers[written].shape
        after = [
            max(0, (out[i] - 1) * op.stride[i] + (op.kernel[i] - 1) * op.dilation[i] + 1
                - op.pad[i] - size[i])
            for i in (0, 1)
        ]  # fmt: skip
        return self.graph.add(
            "Conv", *inputs, kernel_shape=list(op.kernel), strides=list(op.stride),
            dilations=list(op.dilation), pads=[*op.pad, *after],
            group=size[2] if op.code == "binary_memory" else 1,
        )  # fmt: skip

    def weights(self, op: Op) -> Array:
        """Weights as [c_out, c_in / group, kernel height, kernel width]."""
        assert op.weights is not None
        stored = self.tensor(op.weights)
        height, width = op.kernel
        if op.code == "conv2d":
            return stored.reshape(height, width, -1, stored.shape[1]).transpose(3, 2, 0, 1)
        if op.code == "binary_memory":
            shaped = stored.T.reshape(-1, 1, height, 1)
        else:
            shaped = stored.reshape(len(stored), height, width, -1).transpose(0, 3, 1, 2)
        if self.binary:
            return 2 * shaped - 1
        taps = np.prod(shaped.shape[1:])
        return self.random.normal(0, taps**-0.5, shaped.shape).astype(np.float32)

    def threshold(self, op: Op, name: str) -> str:
        if not self.binary:
            return self.graph.add("Relu", name)
        assert op.threshold is not None
        assert op.flip is not None
        limit = self.column(self.tensor(op.threshold))
        side = self.column(1 - 2 * self.tensor(op.flip))
        above = self.graph.sign(name, self.graph.constant(limit))
        return self.graph.add("Mul", above, self.graph.constant(side))

    def affine(self, op: Op, name: str, folded: bool) -> str:
        if op.scale is not None and op.shift is not None and not folded:
            name = self.graph.add(
                "Mul", name, self.graph.constant(self.column(self.tensor(op.scale)))
            )
            name = self.graph.add(
                "Add", name, self.graph.constant(self.column(self.tensor(op.shift)))
            )
        if op.slope is not None:
            slope = self.graph.constant(self.column(self.tensor(op.slope)))
            name = self.graph.add("PRelu", name, slope)
        if op.residual is not None:
            name = self.graph.add("Add", name, self.values[op.residual])
        return name


def to_onnx(model: ModelFile, depth: int, *, binary: bool) -> bytes:
    """The net at one depth: `features` [1, channels, time, mel] -> `logits` [1, classes]."""
    translator = Translator(model, binary=binary)
    for op in model.ops:
        if op.depth_mask >> depth & 1:
            translator.translate(op)
    graph = translator.graph
    last = translator.values[len(model.buffers) - 1]
    graph.nodes.append(helper.make_node("Flatten", [last], ["logits"]))
    time, mel, channels = model.buffers[0].shape
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bifast",
            [helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, [1, channels, time, mel])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(model.labels)])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(proto)
    return proto.SerializeToString()
