"""A float graph in int8, as onnxruntime's own tools make it: static QDQ, ranges from real features."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

Array = np.ndarray[Any, np.dtype[Any]]


class Calibration:
    """Feeds clips to the quantiser."""

    def __init__(self, features: Array) -> None:
        self.clips = ({"features": clip[None]} for clip in features)

    def get_next(self) -> dict[str, Array] | None:
        """Return the next clip, None after the last."""
        return next(self.clips, None)


def folded_and_int8(graph: bytes, features: Array) -> tuple[bytes, bytes]:
    """Return a graph with its batch norms folded, and that in int8.

    Parameters
    ----------
    graph
        An ONNX graph of one clip with the input `features`.
    features
        [N, T, M] of clips: they give the int8 activations their ranges.
    """
    with tempfile.TemporaryDirectory() as beside:
        plain, folded, small = (Path(beside) / f"{n}.onnx" for n in ("plain", "folded", "int8"))
        onnx.save(with_names(graph), plain)
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            small,
            Calibration(features),
            nodes_to_exclude=kept_float(folded),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # without VNNI the sums of two products saturate at 16 bit
        )
        return stripped(folded), stripped(small)


def with_names(graph: bytes) -> onnx.ModelProto:
    """Return a graph whose nodes can be told apart."""
    model = onnx.load_from_string(graph)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node{number}"
    return model


def kept_float(path: Path) -> list[str]:
    """Return the nodes that int8 would spoil.

    Before the first convolution are decibels that are not yet normal; a batch norm that is not folded
    into a convolution has no int8 form.
    """
    nodes = onnx.load(path).graph.node
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    norms = [node.name for node in nodes[first:] if node.op_type == "BatchNormalization"]
    return [*(node.name for node in nodes[:first]), *norms]


def stripped(path: Path) -> bytes:
    """Return a graph without names of source lines and shapes that onnxruntime finds itself."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    data: bytes = model.SerializeToString()
    return data
