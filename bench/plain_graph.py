"""An ONNX graph whose batch norms that no convolution took in are products and sums with constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
NORM = "norm"  # how the outputs of such products and sums begin


def scale_and_shift(node: onnx.NodeProto, constants: dict[str, Array]) -> tuple[Array, Array]:
    """Return what a batch norm multiplies with and adds, one value a channel."""
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    gamma, beta, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
    scale = gamma / np.sqrt(variance + epsilon)
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


def without_norms(graph: bytes) -> onnx.ModelProto:
    """Rewrite batch norms, and those of bands: Reshape, BatchNormalization, Reshape back."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    part = model.graph
    constants = {c.name: numpy_helper.to_array(c) for c in part.initializer}
    facts = [*part.value_info, *part.input, *part.output]
    ranks = {f.name: [d.dim_value for d in f.type.tensor_type.shape.dim] for f in facts}
    makers = {node.output[0]: node for node in part.node}
    nodes: list[onnx.NodeProto] = []
    for node in part.node:
        users = [n for n in part.node if node.output[0] in n.input]
        if node.op_type == "Reshape" and [n.op_type for n in users] == ["BatchNormalization"]:
            continue  # of bands, below
        if node.op_type == "BatchNormalization":
            given, made, shape = node.input[0], node.output[0], ranks[node.input[0]]
            pair = [
                a.reshape(-1, *[1] * (len(shape) - 2)) for a in scale_and_shift(node, constants)
            ]
            before = makers.get(given)
            if before is not None and before.op_type == "Reshape" and users[0].op_type == "Reshape":
                given, made = before.input[0], users[0].output[0]
                channels, bands = ranks[given][1], shape[1] // ranks[given][1]
                pair = [
                    np.repeat(a.reshape(channels, bands, 1), ranks[given][2] // bands, axis=1)
                    for a in pair
                ]
            names = [f"{NORM}{len(nodes)}{what}" for what in ("scale", "shift", "product")]
            part.initializer.extend(map(numpy_helper.from_array, pair, names[:2]))
            nodes.append(helper.make_node("Mul", [given, names[0]], [names[2]]))
            nodes.append(helper.make_node("Add", [names[2], names[1]], [made]))
            continue
        before = makers.get(node.input[0])
        if node.op_type == "Reshape" and before and before.op_type == "BatchNormalization":
            continue  # back from bands
        nodes.append(node)
    del part.node[:]
    part.node.extend(nodes)
    return onnx.shape_inference.infer_shapes(model)
