"""SpecAugment's masks over time and mel bands (Park et al., arXiv 1904.08779, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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


def hide(features: Tensor, masks: Masks, rng: np.random.Generator) -> Tensor:
    """Replace stripes of the features [B, T, M] by the mean of their clip; returns a new tensor."""
    clips, frames, mels = features.shape
    hidden = np.zeros((clips, frames, mels), bool)
    for _ in range(masks.time):
        hidden |= _stripe(clips, frames, masks.time_max, rng)[:, :, None]
    for _ in range(masks.mel):
        hidden |= _stripe(clips, mels, masks.mel_max, rng)[:, None, :]
    mean = features.mean((1, 2), keepdim=True)
    return torch.where(torch.from_numpy(hidden).to(features.device), mean, features)


def _stripe(count: int, length: int, widest: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw one stripe for each of `count` clips: [count, length], True where it lies."""
    width = rng.integers(0, min(widest, length) + 1, (count, 1))
    start = rng.integers(0, length - width + 1)
    places = np.arange(length)
    return (places >= start) & (places < start + width)
