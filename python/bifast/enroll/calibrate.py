"""The threshold of a new word: how often what is not the word reaches it, and how far that can be known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Peaks above the place where the tail is tied to what was heard, and the fewest from which one can be.
_TAIL, _FEWEST = 30, 8


class Tail(NamedTuple):
    """How the rate of false accepts falls with the threshold: as the tail of a normal distribution.

    Attributes
    ----------
    mean, spread
        Of the logits of all windows.
    start, rate
        A logit, and the events an hour that were heard above it.
    """

    mean: float
    spread: float
    start: float
    rate: float

    def expected(self, threshold: float) -> float:
        """Return the events an hour at a logit."""
        return self.rate * self._beyond(threshold) / self._beyond(self.start)

    def threshold(self, rate: float) -> float:
        """Return the logit, from `start` on, at which so many events an hour are expected."""
        low, high = self.start, max(self.start, self.mean) + 12 * self.spread
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected(middle) > rate else (low, middle)
        return high

    def _beyond(self, logit: float) -> float:
        """Return the share of a normal distribution that lies beyond a logit."""
        return max(0.5 * math.erfc((logit - self.mean) / (self.spread * math.sqrt(2))), 1e-300)


def peaks(logits: Floats, apart: int) -> list[float]:
    """Return the heights of the events that a falling threshold would find in the windows of one stretch.

    Parameters
    ----------
    logits
        [W], one for each window.
    apart
        Windows before and after an event that belong to it.
    """
    left, found = logits.astype(np.float64), []
    while left.size and np.isfinite(best := left.max()):
        where = int(left.argmax())
        left[max(0, where - apart) : where + apart + 1] = -np.inf
        found.append(float(best))
    return found


def smooth(logits: Floats, count: int) -> Floats:
    """Return the logits [W] of the mean probability of the last `count` windows, as a `Detector` takes it.

    Windows before the first count as probability 0.
    """
    probabilities = 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))
    total = np.cumsum(np.concatenate([np.zeros(count), probabilities]))
    mean = np.clip((total[count:] - total[:-count]) / count, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(mean) - np.log1p(-mean), np.float32)


def average(logits: Floats, count: int) -> Floats:
    """Return the mean logit of the last `count` windows, [W]; of the first, of those that there are."""
    total = np.cumsum(np.concatenate([[0.0], logits.astype(np.float64)]))
    ends = np.arange(1, logits.size + 1)
    starts = np.maximum(ends - count, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts), np.float32)


def fit_tail(stretches: Sequence[Floats], apart: int, hours: float) -> Tail:
    """Fit the tail to the logits [W] of stretches of sound, `apart` windows being one event.

    Raises
    ------
    ValueError
        If there are too few.
    """
    heights = np.sort([height for part in stretches for height in peaks(part, apart)])[::-1]
    count = min(_TAIL, len(heights) - 1)
    if count < _FEWEST:
        raise ValueError(
            f"negatives: expected sound for at least {_FEWEST + 1} events, got {len(heights)}; give "
            "some minutes of speech without the word"
        )
    everything = np.concatenate(stretches).astype(np.float64)
    spread = max(float(everything.std()), 1e-6)
    return Tail(float(everything.mean()), spread, float(heights[count]), count / hours)
