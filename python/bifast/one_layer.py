"""A model of one layer, repeated: what is left of the call's own cost is small and the same for all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bifast.format import Buffer, ModelFile, Op, Tensor

TENSORS = ("weights", "scale", "shift", "slope", "threshold", "flip")


@dataclass(frozen=True)
class Layer:
    """One operation of a model with its shapes."""

    model: ModelFile
    op: Op

    @property
    def input(self) -> Buffer:
        """What it reads."""
        return self.model.buffers[self.op.input]

    @property
    def output(self) -> Buffer:
        """What it writes, the floats if it writes both."""
        written = self.op.out_f32 if self.op.out_f32 is not None else self.op.out_bits
        assert written is not None
        return self.model.buffers[written]

    @property
    def kind(self) -> tuple[object, ...]:
        """Layers of one kind take the same time."""
        op = self.op
        given = tuple(getattr(op, name) is not None for name in (*TENSORS, "residual"))
        outputs = (op.out_f32 is not None, op.out_bits is not None)
        geometry = (op.kernel, op.stride, op.pad, op.dilation)
        return op.code, self.input, self.output.shape, geometry, given, outputs

    @property
    def title(self) -> str:
        """Code, kernel and shapes."""
        height, width = self.op.kernel
        kernel = f" {height}x{width}" if height else ""
        shapes = ["x".join(map(str, buffer.shape)) for buffer in (self.input, self.output)]
        return f"{self.op.code}{kernel}, {shapes[0]} -> {shapes[1]}"

    @property
    def macs(self) -> int:
        """Multiply-adds of one run, missing taps counted."""
        positions = int(np.prod(self.output.shape))
        taps = self.op.kernel[0] * self.op.kernel[1]
        if self.op.code == "binary_memory":
            return positions * taps
        return positions * taps * self.input.channels if self.op.weights is not None else 0

    @property
    def bytes(self) -> int:
        """Of inputs, outputs and 1-bit weights."""
        weights = (
            self.model.tensors[self.op.weights].array.size / 8 if self.op.weights is not None else 0
        )
        written = [self.op.out_f32, self.op.out_bits]
        buffers = [self.input, *(self.model.buffers[i] for i in written if i is not None)]
        sizes = (np.prod(b.shape) * {"f32": 4, "u8": 1}.get(b.type, 1 / 8) for b in buffers)
        return int(weights + sum(sizes))


def distinct_layers(model: ModelFile) -> list[Layer]:
    """Return the first layer of each kind."""
    kinds: dict[tuple[object, ...], Layer] = {}
    for op in model.ops:
        layer = Layer(model, op)
        kinds.setdefault(layer.kind, layer)
    return list(kinds.values())


def repeated(layer: Layer, times: int) -> bytes:
    """Return a file that prepares the layer's input, runs the layer `times` times and ends in a mean."""
    source, op = layer.model, layer.op
    size = layer.input
    buffers = [Buffer("f32", *size.shape)]
    tensors: list[Tensor] = []
    ops: list[Op] = []

    def buffer(type_: str, shape: tuple[int, int, int]) -> int:
        buffers.append(Buffer(type_, *shape))
        return len(buffers) - 1

    def tensor(index: int | None) -> int | None:
        if index is None:
            return None
        tensors.append(source.tensors[index])
        return len(tensors) - 1

    given = 0
    if size.type in ("bits", "bits2"):
        given = buffer(size.type, size.shape)
        ops.append(Op("sign", "elementwise", 1, 0, out_bits=given))
    if size.type == "u8":
        given = buffer("u8", size.shape)
        tensors += [Tensor("f32", np.full((1, 1), value, np.float32)) for value in (30.0, 128.0)]
        ops.append(Op("bytes", "quantise", 1, 0, out_f32=given, scale=0, shift=1))
    residual = None
    if op.residual is not None:
        residual = buffer("f32", layer.output.shape)
        ops.append(shape_to(layer, residual, tensors))
    given_tensors: Any = {name: tensor(getattr(op, name)) for name in TENSORS}
    changed = replace(
        op, depth_mask=1, input=given, residual=residual,
        out_f32=None if op.out_f32 is None
        else buffer(source.buffers[op.out_f32].type, layer.output.shape),
        out_bits=None if op.out_bits is None
        else buffer(source.buffers[op.out_bits].type, layer.output.shape),
        **given_tensors,
    )  # fmt: skip
    ops += [replace(changed, name=f"layer{i}") for i in range(times)]
    channels = size.channels
    logits = buffer("f32", (1, 1, channels))
    ops.append(Op("mean", "average_pool", 1, 0, out_f32=logits))
    labels = tuple(f"c{i}" for i in range(channels))
    parts = tuple(buffers), tuple(tensors), tuple(ops)
    return ModelFile(None, labels, ("full",), *parts, {}).to_bytes()


def shape_to(layer: Layer, target: int, tensors: list[Tensor]) -> Op:
    """Return an operation that fills a buffer of the output's shape from the input."""
    if layer.input.shape == layer.output.shape:
        return Op("residual", "elementwise", 1, 0, out_f32=target)
    rows, cols = layer.input.channels, layer.output.channels
    tensors.append(Tensor("f32", np.full((rows, cols), 1 / rows, np.float32)))
    return Op(
        "residual", "conv2d", 1, 0, out_f32=target, kernel=(1, 1), stride=(1, 1), dilation=(1, 1),
        weights=len(tensors) - 1,
    )  # fmt: skip
