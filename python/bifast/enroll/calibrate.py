"""The threshold of a new word: how often what is not the word reaches it, and how far that can be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Peaks above the place from which the tail is fitted, and the fewest from which it can be.
_TAIL, _FEWEST = 60, 8
# Shape of the tail: below 0, so that there is a logit that nothing reaches. So few peaks cannot tell it:
# it is the value at which the words of docs/enroll.md had the rate that is aimed at, with six minutes of negatives.
_SHAPE = -0.15


class Tail(NamedTuple):
    """How the rate of false accepts falls with the threshold: as a generalised Pareto distribution.

    Attributes
    ----------
    start, rate
        A logit, and the events an hour that were heard above it.
    scale
        Of what they exceed it by.

    Notes
    -----
    The limit of what exceeds a high threshold (Pickands, Ann. Statist. 3, 1975), its shape held and its scale
    from the mean excess, which is scale / (1 - shape).
    """

    start: float
    rate: float
    scale: float

    def expected(self, threshold: float) -> float:
        """Return the events an hour at a logit from `start` on."""
        left = max(1 + _SHAPE * (threshold - self.start) / self.scale, 0.0)
        return float(self.rate * left ** (-1 / _SHAPE))

    def threshold(self, rate: float) -> float:
        """Return the logit, from `start` on, at which so many events an hour are expected."""
        if rate >= self.rate:
            return self.start
        further = float((self.rate / rate) ** _SHAPE)
        return self.start + self.scale * (further - 1) / _SHAPE


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
    start = float(heights[count])
    excess = max(float(heights[:count].mean()) - start, 1e-6)
    return Tail(start, count / hours, excess * (1 - _SHAPE))
