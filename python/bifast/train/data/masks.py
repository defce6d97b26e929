"""SpecAugment's masks over time and mel bands (Park et al., arXiv 1904.08779, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Masks:
    """How much of the features is hidden; nothing by default.

    Attributes
    ----------
    time, mel
        Number of masks over frames and over mel bands.
    time_max, mel_max
        Largest width of a mask; the width is uniform in 0 .. this.
    """

    time: int = 0
    time_max: int = 6
    mel: int = 0
    mel_max: int = 6


def hide(
    features: NDArray[np.float32], masks: Masks, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Replace stripes of the features [B, T, M] by the mean of their clip; returns a new array."""
    _, frames, mels = features.shape
    hidden = np.zeros(features.shape, bool)
    for _ in range(masks.time):
        hidden |= _stripe(len(features), frames, masks.time_max, rng)[:, :, None]
    for _ in range(masks.mel):
        hidden |= _stripe(len(features), mels, masks.mel_max, rng)[:, None, :]
    return np.where(hidden, features.mean(axis=(1, 2), keepdims=True), features)


def _stripe(count: int, length: int, widest: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw one stripe for each of `count` clips: [count, length], True where it lies."""
    width = rng.integers(0, min(widest, length) + 1, (count, 1))
    start = rng.integers(0, length - width + 1)
    places = np.arange(length)
    return (places >= start) & (places < start + width)
