"""An ONNX graph in PyTorch, one thread: traced and frozen, the fastest of its forms for nets this small."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]


class GraphModule(torch.nn.Module):
    """Runs the nodes of a graph that `bifast.onnx_graph` makes of a float net, one after another."""

    def __init__(self, graph: bytes) -> None:
        super().__init__()
        model = onnx.load_from_string(graph).graph
        self.nodes = list(model.node)
        self.result = model.output[0].name
        for constant in model.initializer:
            array = np.array(numpy_helper.to_array(constant))
            self.register_buffer(constant.name, torch.from_numpy(array))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[1, time, mel] -> [1, classes]."""
        values = {"features": features, **dict(self.named_buffers())}
        for node in self.nodes:
            given = [values[name] for name in node.input]
            values[node.output[0]] = self.run(node, *given)
        return values[self.result]

    @staticmethod
    def run(node: onnx.NodeProto, *x: torch.Tensor) -> torch.Tensor:
        """Return the result of one node."""
        functional = torch.nn.functional
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        match node.op_type:
            case "Reshape":
                return x[0].reshape([int(n) or x[0].shape[i] for i, n in enumerate(x[1])])
            case "Transpose":
                return x[0].permute(given["perm"])
            case "Conv":
                top, left, bottom, right = given["pads"]
                a, pad = x[0], (top, left)
                if (top, left) != (bottom, right):
                    a, pad = functional.pad(a, (left, right, top, bottom)), (0, 0)
                return functional.conv2d(
                    a, *x[1:], stride=given["strides"], padding=pad, dilation=given["dilations"],
                    groups=given["group"],
                )  # fmt: skip
            case "PRelu":
                return functional.prelu(x[0], x[1].reshape(-1))
            case "Relu":
                return functional.relu(x[0])
            case "Add":
                return x[0] + x[1]
            case "Mul":
                return x[0] * x[1]
            case "Concat":
                return torch.cat(x, given["axis"])
            case "GlobalAveragePool":
                return x[0].mean((2, 3), keepdim=True)
            case "Flatten":
                return x[0].flatten(1)
        raise ValueError(f"no PyTorch function for {node.op_type}")


class TorchNet:
    """Called as the other peers' nets are."""

    def __init__(self, graph: bytes, shape: tuple[int, ...]) -> None:
        torch.set_num_threads(1)
        example = torch.zeros(1, *shape)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # TorchScript is called old, but is what runs without a compiler
            traced = torch.jit.trace(GraphModule(graph).eval(), example)
            self.net = torch.jit.freeze(traced)
            for _ in range(3):  # it optimises in its first calls
                self.net(example)

    def __call__(self, features: Array) -> Array:
        """[time, mel] -> [classes]."""
        with torch.inference_mode():
            logits: Array = self.net(torch.from_numpy(features)[None])[0].numpy()
        return logits
