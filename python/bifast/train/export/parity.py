"""Engine against PyTorch: equal but for bits that the first layer's float sum leaves undecided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bifast.model import Model
from bifast.train.nets import Net
from bifast.train.nets.layer import Layer

# Scores differ by the order of the last layer's float sum; more than this must have a cause.
TOLERANCE = 1e-3
# Only the first layer sums floats before a sign, in another order than PyTorch: a value this close to where
# the sign changes, where the layer's values are of the order of 1, may fall on either side.
UNDECIDED = 1e-4
_BATCH = 256


class ParityError(RuntimeError):
    """Engine and PyTorch disagree on a net that was just exported."""


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Attributes
    ----------
    clips
        Clips compared, at every depth.
    moved
        Clip and depth pairs whose label differs.
    apart
        Clips whose scores differ by more than `TOLERANCE` at some depth; each has an undecided bit.
    close
        Largest difference of a score in all other clips.
    farthest
        Largest value of the first layer whose bit differs.
    """

    clips: int
    moved: int
    apart: int
    close: float
    farthest: float

    def __str__(self) -> str:
        """Tell it in one sentence."""
        told = (
            f"{self.clips} clips, engine against PyTorch: {self.moved} labels differ, "
            f"scores within {self.close:.1g}"
        )
        if self.apart:
            told += (
                f" but in {self.apart} clips, where a value of the first layer lies within "
                f"{self.farthest:.1g} of zero and gets the other sign"
            )
        return told


def random_features(net: Net, count: int = 64) -> NDArray[np.float32]:
    """Return [count, T, M] numbers in the range of log-mel features, or [count, H, W, C] pixels; always the same."""
    rng, shape = np.random.default_rng(0), (count, *net.shape)
    if net.takes == "images":
        return rng.integers(0, 256, shape).astype(np.float32)
    return rng.normal(-40, 15, shape).astype(np.float32)


def check_parity(net: Net, model: Model, features: NDArray[np.float32]) -> Parity:
    """Compare a net and its model file.

    Parameters
    ----------
    net
        In evaluation mode.
    model
        The same net, exported.
    features
        [N, T, M], or images [N, H, W, C], float32.

    Raises
    ------
    ParityError
        If scores differ by more than `TOLERANCE` of the largest one, and no bit of the first layer is
        undecided; or if one differs that is not.
    """
    batch = torch.from_numpy(features)
    difference = np.zeros(len(features), np.float32)
    moved = 0
    for depth, name in enumerate(net.depths):
        with torch.no_grad():
            parts = [net(part, depth) for part in batch.split(_BATCH)]
        expected = torch.cat(parts).numpy()
        got = model.run_features(features, depth=name)
        scale = max(1.0, float(np.abs(expected).max()))
        difference = np.maximum(difference, np.abs(expected - got).max(1) / scale)
        moved += int((expected.argmax(1) != got.argmax(1)).sum())
    apart = np.flatnonzero(difference > TOLERANCE)
    values = [_largest_flip(net, model, features[clip]) for clip in apart]
    for clip, value in zip(apart, values, strict=True):
        if not 0 <= value <= UNDECIDED:
            raise ParityError(
                f"clip {clip}: scores differ by {difference[clip]:.2g}, and no bit of the first "
                f"layer explains it (largest value with another sign: {value:.2g})"
            )
    close = float(np.delete(difference, apart).max(initial=0.0))
    return Parity(len(features), moved, apart.size, close, max(values, default=0.0))


def _largest_flip(net: Net, model: Model, clip: NDArray[np.float32]) -> float:
    """Return how far the farthest value whose sign differs lies from where the sign changes.

    Of the first bits after a sum of floats; -1 if none differs.
    """
    _, outputs = model.trace(clip)
    farthest = -1.0
    with torch.no_grad():
        for name, values, reader in net.first_signs(torch.from_numpy(clip)[None]):
            bits = [out.values for out in outputs if out.name == name and out.is_bits]
            differs = np.zeros(bits[0].shape, bool)
            for plane, got in zip(reader.binarizer.signs(values), bits, strict=True):
                differs |= (plane[0].numpy() > 0).reshape(got.shape) != got.astype(bool)
            margin = _margin(reader, values)[0].numpy().reshape(differs.shape)
            farthest = max(farthest, float(margin[differs].max(initial=-1.0)))
    return farthest


def _margin(reader: Layer, values: torch.Tensor) -> torch.Tensor:
    """Return the distance of values from the nearest place where a plane's sign changes."""
    binarizer, thresholds = reader.binarizer, reader.binarizer.thresholds()
    if thresholds is None:
        thresholds = values.new_zeros(binarizer.n_planes, values.shape[-1])
    margin = (values - thresholds[0]).abs()
    if binarizer.n_planes == 2:
        rest = values - binarizer.signs(values)[0]
        margin = torch.minimum(margin, (rest - thresholds[1]).abs())
    return margin
