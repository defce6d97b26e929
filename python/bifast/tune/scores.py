"""Scores of long sound at several depths at once, and what a detector makes of them.

Here scores stand in arrays, so that many thresholds can be tried: a test holds that they decide as
`bifast.Detector` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.model import Model
from bifast.results import Scan
from bifast.tune.material import Wave

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """Labels that are words, and times in samples."""

    columns: NDArray[np.int64]
    hop: int
    window: int
    refractory: int
    rate: int


class Recording:
    """Sound that goes on, scored at several depths at once; `Model.scan` of the whole, but its end."""

    def __init__(self, model: Model, depths: Sequence[str], hop: float) -> None:
        self._streams = {depth: model.stream(hop=hop, depth=depth) for depth in depths}
        self._scans: dict[str, list[Scan]] = {depth: [] for depth in depths}
        self.length = 0

    def add(self, wave: Wave) -> tuple[int, int]:
        """Append sound; return the samples where it begins and ends."""
        start = self.length
        for depth, stream in self._streams.items():
            self._scans[depth].append(stream.push(np.clip(wave, -1.0, 1.0)))
        self.length += len(wave)
        return start, self.length

    def logits(self) -> dict[str, NDArray[np.float32]]:
        """Return the logits at each depth, shape (W, classes), windows a hop apart from 0 on."""
        empty = {
            depth: stream.push(np.empty(0, np.float32)) for depth, stream in self._streams.items()
        }
        return {d: Scan.join([empty[d], *scans]).logits for d, scans in self._scans.items()}


def smoothed(probabilities: NDArray[Any], windows: int) -> Scores:
    """Mean over the last `windows` rows; before the first they count as 0. Shape (W, words)."""
    zeros = np.zeros((windows, probabilities.shape[1]))
    total = np.cumsum(np.concatenate([zeros, probabilities.astype(np.float64)]), axis=0)
    means: Scores = (total[windows:] - total[:-windows]) / windows
    return means


def fired(
    smooth: Scores, probability: NDArray[Any], threshold: float, windows: int, setting: Setting
) -> list[int]:
    """Return the windows at which a word is heard, as `Detector` decides.

    Parameters
    ----------
    smooth, probability
        Of one word, shape (W,).
    threshold, windows
        The word's threshold, and the windows of its smoothing.
    """
    found: list[int] = []
    rest_until, before, is_armed = -np.inf, -2, True
    for i in np.flatnonzero(smooth >= threshold).tolist():
        is_armed |= i != before + 1
        before = i
        if not is_armed or i * setting.hop + setting.window < rest_until:
            continue
        first = max(0, i - windows + 1)
        best = first + int(np.argmax(probability[first : i + 1]))
        rest_until = best * setting.hop + setting.window + setting.refractory
        is_armed = False
        found.append(i)
    return found


def clip_scores(
    smooth: Scores, spans: Sequence[tuple[int, int, int]], windows: int, setting: Setting
) -> Scores:
    """Highest smoothed score of its word in each clip.

    Parameters
    ----------
    smooth
        Shape (W, words).
    spans
        Column of the word, first and last sample of each clip.
    """
    scores = np.zeros(len(spans))
    for n, (word, start, end) in enumerate(spans):
        first = max(0, (start - setting.window) // setting.hop + 1)
        last = (end + (windows - 1) * setting.hop) // setting.hop + 1
        scores[n] = smooth[first:last, word].max(initial=0.0)
    return scores
