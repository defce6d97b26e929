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
from bifast.train.export.tables import Affine, threshold_table

Pair = tuple[int, int]


@dataclass(frozen=True)
class Lowered:
    """The product of a layer as the engine sees it.

    Attributes
    ----------
    code
        Name of the operation.
    weights
        In the layout of docs/format.md; for binary operations uint8, 1 for +1.
    kernel, stride, pad
        (height, width) each.
    """

    code: str
    weights: NDArray[Any]
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)


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
    """Collects buffers, tensors and operations; equal tensors are stored once."""

    buffers: list[Buffer] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    _known: dict[tuple[str, tuple[int, ...], bytes], int] = field(default_factory=dict)

    def buffer(self, kind: str, height: int, width: int, channels: int) -> int:
        """Add an activation and return its index."""
        self.buffers.append(Buffer(kind, height, width, channels))
        return len(self.buffers) - 1

    def tensor(self, dtype: str, array: NDArray[Any]) -> int:
        """Add a tensor [rows, cols], or find an equal one; returns its index."""
        tensor = Tensor(dtype, array)
        key = (dtype, tensor.array.shape, tensor.array.tobytes())
        if key not in self._known:
            self._known[key] = len(self.tensors)
            self.tensors.append(tensor)
        return self._known[key]

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
        threshold: bool = False,
    ) -> None:
        """Add the operations of one layer: one for each group of depths with equal tables.

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
        threshold
            Only the sign is read: store an integer threshold instead of an affine map.

        Raises
        ------
        UnsupportedError
            If the engine can not run the layer exactly; the message names it.
        """
        op = self._product(name, layer, source)
        op = dataclasses.replace(
            op, residual=residual, out_f32=out_f32, out_bits=out_bits, input=source
        )
        groups: dict[Affine, int] = {}
        for depth in depths:
            affine = Affine.of(layer, depth, name)
            groups[affine] = groups.get(affine, 0) | 1 << depth
        for affine, mask in groups.items():
            stage = self._threshold(affine, name, layer) if threshold else self._affine(affine)
            self.ops.append(dataclasses.replace(op, depth_mask=mask, **stage))

    def _product(self, name: str, layer: Any, source: int) -> Op:
        lowering = _LOWERINGS.get(type(layer))
        if lowering is None:
            raise UnsupportedError(f"layer {name}: the engine has no operation for {type(layer)}")
        if (self.buffers[source].type == "bits") != layer.binarizer.binary:
            raise UnsupportedError(f"layer {name}: real weights and 1-bit inputs, or the reverse")
        try:
            lowered = lowering(layer, self.buffers[source])
        except UnsupportedError as error:
            raise UnsupportedError(f"layer {name}: {error}") from None
        dtype = "bits" if lowered.code.startswith("binary") else "f16"
        if dtype == "f16" and not np.array_equal(
            lowered.weights.astype(np.float16), lowered.weights
        ):
            raise UnsupportedError(f"layer {name}: real weights must be rounded to float16 first")
        return Op(
            name=name,
            code=lowered.code,
            depth_mask=1,
            input=source,
            kernel=lowered.kernel,
            stride=lowered.stride,
            pad=lowered.pad,
            dilation=(1, 1),
            weights=self.tensor(dtype, lowered.weights),
        )

    def _affine(self, affine: Affine) -> dict[str, Any]:
        scale, shift, slope = affine.arrays()
        slope_type = "f32"
        if slope is not None and np.array_equal(slope.astype(np.float16), slope):
            slope_type = "f16"
        return {
            "scale": self.tensor("f32", scale[None]),
            "shift": self.tensor("f32", shift[None]),
            "slope": None if slope is None else self.tensor(slope_type, slope[None]),
        }

    def _threshold(self, affine: Affine, name: str, layer: Any) -> dict[str, Any]:
        taps = int(layer.weight[0].numel())
        thresholds, flips = threshold_table(affine, taps, name)
        dtype = "i16" if taps < 32767 else "i32"
        return {
            "threshold": self.tensor(dtype, thresholds[None]),
            "flip": self.tensor("bits", flips[None]),
        }
