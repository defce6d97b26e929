"""Turn layers into operations of a model file (K = taps times input channels of one output)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bifast.errors import UnsupportedError
from bifast.format import Buffer, Op, Tensor
from bifast.format.layout import OP_KINDS
from bifast.train.export.tables import Affine, threshold_table

Pair = tuple[int, int]
# Type of a buffer of so many planes of bits.
BITS = {1: "bits", 2: "bits2"}


@dataclass(frozen=True)
class Lowered:
    """The product of a layer as the engine sees it.

    Attributes
    ----------
    code
        Name of the operation.
    weights
        In the layout of docs/format.md; for binary operations uint8, 1 for +1. None: no product.
    kernel, stride, pad, dilation
        (height, width) each; zeros without a product.
    fill
        The byte that stands for a missing tap.
    """

    code: str
    weights: NDArray[Any] | None
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    fill: int = 0


Lowering = Callable[[Any, Buffer], Lowered]
_LOWERINGS: dict[type[Any], Lowering] = {}
F = TypeVar("F", bound=Lowering)


def exports(layer_type: type[Any]) -> Callable[[F], F]:
    """Declare how layers of a class become operations: (layer, input buffer) -> `Lowered`."""

    def add(function: F) -> F:
        _LOWERINGS[layer_type] = function
        return function

    return add


@dataclass
class Builder:
    """Collects buffers, tensors and operations; equal tensors are stored once.

    Attributes
    ----------
    real
        Take a net whose weights are all real, and keep everything in float32: for a graph of operations
        (`bifast.onnx_graph`), not for the engine.
    """

    real: bool = False
    buffers: list[Buffer] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    _known: dict[tuple[str, tuple[int, ...], bytes], int] = field(default_factory=dict)

    def buffer(self, kind: str, height: int, width: int, channels: int) -> int:
        """Add an activation and return its index."""
        self.buffers.append(Buffer("f32" if self.real else kind, height, width, channels))
        return len(self.buffers) - 1

    def bits(self, height: int, width: int, channels: int, reader: Any) -> int:
        """Add an activation of bits, in as many planes as the layer that reads it has."""
        return self.buffer(BITS[reader.binarizer.n_planes], height, width, channels)

    def tensor(self, dtype: str, array: NDArray[Any]) -> int:
        """Add a tensor [rows, cols], or find an equal one; returns its index."""
        tensor = Tensor(dtype, array)
        key = (dtype, tensor.array.shape, tensor.array.tobytes())
        if key not in self._known:
            self._known[key] = len(self.tensors)
            self.tensors.append(tensor)
        return self._known[key]

    def bytes_of(self, name: str, layer: Any, depths: tuple[int, ...], source: int) -> int:
        """Add what turns a layer's input into bytes, if it reads bytes; returns the buffer that it reads."""
        if layer.bytes is None:
            return source
        if self.real:
            raise UnsupportedError(
                f"layer {name}: reads bytes, as no net of real weights does; set net.ends = full"
            )
        target = self.buffer("u8", *self.buffers[source].shape)
        scale, shift = (
            self.tensor("f32", part.numpy().reshape(1, 1)) for part in layer.bytes.affine()
        )
        mask = sum(1 << depth for depth in depths)
        self.ops.append(
            Op(f"{name}.bytes", "quantise", mask, source, out_f32=target, scale=scale, shift=shift)
        )
        return target

    def layer(
        self,
        name: str,
        layer: Any,
        depths: tuple[int, ...],
        source: int,
        *,
        residual: int | None = None,
        out_f32: int | None = None,
        out_bits: int | None = None,
        reader: Any = None,
    ) -> None:
        """Add the operations of one layer: one for each group of depths with equal tables.

        A binary layer of which only one plane of signs is read gets an integer threshold instead of
        an affine map.

        Parameters
        ----------
        name
            Of the operations, at most 31 ASCII characters.
        layer
            In evaluation mode, of a class that was declared with `exports`.
        depths
            The depths that run it.
        source, residual, out_f32, out_bits
            Buffers.
        reader
            The layer that reads out_bits, or {depth: layer}: its binarizer says where signs change.

        Raises
        ------
        UnsupportedError
            If the engine can not run the layer exactly; the message names it.
        """
        if (out_bits is None) != (reader is None):
            raise ValueError(f"layer {name}: out_bits and the layer that reads them come together")
        op = self._product(name, layer, source)
        op = dataclasses.replace(
            op, residual=residual, out_f32=out_f32, out_bits=out_bits, input=source
        )
        groups: dict[Affine, int] = {}
        for depth in depths:
            at = reader[depth] if isinstance(reader, dict) else reader
            affine = Affine.of(layer, depth, name, at)
            groups[affine] = groups.get(affine, 0) | 1 << depth
        for affine, mask in groups.items():
            fused = self._only_one_sign_is_read(op)
            stage = self._threshold(affine, name, layer) if fused else self._affine(affine, op)
            self.ops.append(dataclasses.replace(op, depth_mask=mask, **stage))

    def _only_one_sign_is_read(self, op: Op) -> bool:
        """Whether a sum is an integer and all that is read of it is one plane of signs."""
        types = [self.buffers[i].type for i in (op.input, op.out_bits) if i is not None]
        return types == ["bits", "bits"] and op.out_f32 is None and op.residual is None

    def _product(self, name: str, layer: Any, source: int) -> Op:
        lowering = _LOWERINGS.get(type(layer))
        if lowering is None:
            raise UnsupportedError(f"layer {name}: the engine has no operation for {type(layer)}")
        binary, planes = layer.binarizer.binary, layer.binarizer.n_planes
        if layer.binarizer.unsupported:
            raise UnsupportedError(f"layer {name}: {layer.binarizer.unsupported}")
        if (self.buffers[source].type in BITS.values()) != binary:
            raise UnsupportedError(f"layer {name}: real weights and 1-bit inputs, or the reverse")
        if binary and self.buffers[source].type != BITS[planes]:
            raise UnsupportedError(f"layer {name}: reads {planes} planes, and gets another number")
        try:
            lowered = lowering(layer, self.buffers[source])
        except UnsupportedError as error:
            raise UnsupportedError(f"layer {name}: {error}") from None
        if not self.real and lowered.code not in OP_KINDS:
            raise UnsupportedError(
                f"layer {name}: the engine has no {lowered.code} of real weights"
            )
        return Op(
            name=name,
            code=lowered.code,
            depth_mask=1,
            input=source,
            kernel=lowered.kernel,
            stride=lowered.stride,
            pad=lowered.pad,
            dilation=lowered.dilation,
            weights=self._weights(name, lowered, layer.binarizer.stored),
            fill=lowered.fill,
            plane_scale=float(layer.binarizer.plane_scale()) if planes == 2 else 0.0,
        )

    def _weights(self, name: str, lowered: Lowered, stored: str) -> int | None:
        if lowered.weights is None:
            return None
        dtype = "bits" if lowered.code.startswith("binary") else "f32" if self.real else stored
        if dtype == "f16" and not np.array_equal(
            lowered.weights.astype(np.float16), lowered.weights
        ):
            raise UnsupportedError(f"layer {name}: real weights must be rounded to float16 first")
        return self.tensor(dtype, lowered.weights)

    def _short(self, array: NDArray[np.float32]) -> int:
        """Add floats as float16 where that changes none."""
        same = np.array_equal(array.astype(np.float16), array)
        return self.tensor("f16" if same else "f32", array)

    def _affine(self, affine: Affine, op: Op) -> dict[str, Any]:
        scale, shift, slope = affine.arrays()
        thresholds = affine.thresholds()
        # Pooling and the like seldom have a batch norm.
        idle = op.weights is None and (scale == 1).all() and not shift.any()
        return {
            "scale": None if idle else self.tensor("f32", scale[None]),
            "shift": None if idle else self.tensor("f32", shift[None]),
            "slope": None if slope is None else self._short(slope[None]),
            "threshold": None if thresholds is None else self._short(thresholds),
        }

    def _threshold(self, affine: Affine, name: str, layer: Any) -> dict[str, Any]:
        taps = int(layer.weight[0].numel())
        thresholds, flips = threshold_table(affine, taps, name)
        dtype = "i16" if taps < 32767 else "i32"
        return {
            "threshold": self.tensor(dtype, thresholds[None]),
            "flip": self.tensor("bits", flips[None]),
        }
