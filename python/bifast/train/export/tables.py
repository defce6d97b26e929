"""The output stage of a layer: float tables, and the integer threshold that equals its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.errors import UnsupportedError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """Tables of C channels as bytes, so that equal stages are equal objects.

    `threshold` is where the signs of the result change: one row of C for each plane of bits that
    the next layer reads, None for zeros.
    """

    scale: bytes
    shift: bytes
    slope: bytes | None
    threshold: bytes | None = None

    @classmethod
    def of(cls, layer: Any, depth: int, name: str, reader: Any) -> Affine:
        """Read a layer's stage at a depth; `UnsupportedError` names a layer that has another.

        `reader` is the layer that reads the bits, or None.
        """
        scale, shift = layer.affine(depth)
        slope = None
        if layer.act is not None:
            if not hasattr(layer.act, "slopes"):
                raise UnsupportedError(f"layer {name}: no output stage for {type(layer.act)}")
            slope = layer.act.slopes(depth).numpy().astype(np.float32).tobytes()
        threshold = None if reader is None else reader.binarizer.thresholds()
        if threshold is not None:
            threshold = threshold.numpy().astype(np.float32).tobytes()
        return cls(scale.numpy().tobytes(), shift.numpy().tobytes(), slope, threshold)

    def arrays(self) -> tuple[Floats, Floats, Floats | None]:
        """Return scale [C], shift [C], slope [C] or [1] or None."""
        slope = None if self.slope is None else np.frombuffer(self.slope, np.float32)
        return np.frombuffer(self.scale, np.float32), np.frombuffer(self.shift, np.float32), slope

    def thresholds(self) -> Floats | None:
        """Return the thresholds of the signs, [planes, C], or None."""
        if self.threshold is None:
            return None
        channels = len(self.scale) // np.float32().itemsize
        return np.frombuffer(self.threshold, np.float32).reshape(-1, channels)

    def bits(self, sums: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the signs of integer sums [C]: the engine's float32 expression, step by step."""
        scale, shift, slope = self.arrays()
        y = sums.astype(np.float32) * scale + shift
        if slope is not None:
            y = np.where(y >= 0, y, y * slope)
        thresholds = self.thresholds()
        out: NDArray[np.bool_] = y >= (0 if thresholds is None else thresholds[0])
        return out


def threshold_table(
    affine: Affine, taps: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Find the thresholds of a layer of which only the sign is read.

    Parameters
    ----------
    affine
        Its stage.
    taps
        K: sums lie in [-K, K].
    name
        For the error.

    Returns
    -------
    thresholds
        [C] in [-K, K + 1].
    flips
        [C] uint8; the bit is `(sum >= threshold) xor flip`.

    Raises
    ------
    UnsupportedError
        If a slope is not positive: then the sign is not monotonic in the sum.

    Notes
    -----
    Rounded multiplication and addition are monotonic, so the bit changes at most once over all
    integers and bisection finds the place in the very expression that the engine would compute.
    """
    scale, _, slope = affine.arrays()
    if slope is not None and not (slope > 0).all():
        raise UnsupportedError(f"layer {name}: slopes must be positive to be a threshold")
    flips = scale < 0
    # low: sums whose (bit xor flip) is 0, or one below the range; high: 1, or one above it.
    low = np.full(scale.size, -taps - 1, np.int64)
    high = np.full(scale.size, taps + 1, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        reached = affine.bits(middle) ^ flips
        high = np.where(reached & (high - low > 1), middle, high)
        low = np.where(~reached & (high - low > 1), middle, low)
    return high, flips.astype(np.uint8)
