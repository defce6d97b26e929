"""Thresholds for a rate of false accepts, and the curve of misses against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.results import softmax
from bifast.tune.scores import Scores, Setting, clip_scores, fired, smoothed

# Below it a word would be heard that is less likely than all else together.
LEAST = 0.3
GRID = np.round(np.concatenate([np.arange(LEAST, 0.98, 0.01), np.arange(0.98, 1.0, 0.002)]), 4)


@dataclass(frozen=True)
class Heard:
    """One part of the material, scored at one depth.

    Attributes
    ----------
    clips, background
        Logits, shape (W, classes).
    spans
        Column of the word, first and last sample of each clip.
    hours
        Of background.
    """

    clips: NDArray[Any]
    spans: list[tuple[int, int, int]]
    background: NDArray[Any]
    hours: float


@dataclass(frozen=True)
class Curve:
    """What each threshold of `GRID` gives.

    Attributes
    ----------
    scores
        Smoothed score of its word in each clip.
    word_of
        Column of the word of each clip.
    accepts
        False accepts in the background, shape (thresholds, words).
    hours
        Of background.
    """

    scores: Scores
    word_of: NDArray[np.int64]
    accepts: NDArray[np.int64]
    hours: float

    def recalls(self, word: int | None = None) -> Scores:
        """Share of the clips, of one word or of all, that each threshold hears."""
        scores = self.scores if word is None else self.scores[self.word_of == word]
        shares: Scores = (scores[:, None] >= GRID).mean(axis=0)
        return shares

    def threshold(self, word: int, rate: float) -> float | None:
        """Return the least threshold from which on there are at most `rate` false accepts per hour."""
        most = np.maximum.accumulate(self.accepts[::-1, word])[::-1]
        fits = np.flatnonzero(most <= rate * self.hours)
        return float(GRID[fits[0]]) if len(fits) else None


def words_of(logits: NDArray[Any], setting: Setting) -> NDArray[np.float32]:
    """Return the probabilities of the words, shape (W, words)."""
    return softmax(logits)[:, setting.columns]


def curve(heard: Heard, windows: int, setting: Setting) -> Curve:
    """Try every threshold of `GRID` with a smoothing over so many windows."""
    noise = words_of(heard.background, setting)
    smooth = smoothed(noise, windows)
    accepts = [
        [
            len(fired(smooth[:, word], noise[:, word], threshold, windows, setting))
            for word in range(smooth.shape[1])
        ]
        for threshold in GRID.tolist()
    ]
    words = smoothed(words_of(heard.clips, setting), windows)
    return Curve(
        clip_scores(words, heard.spans, windows, setting),
        np.array([word for word, _, _ in heard.spans]),
        np.array(accepts),
        heard.hours,
    )


def choose(curves: dict[int, Curve], n_words: int, rate: float) -> tuple[int, list[float | None]]:
    """Choose the smoothing that hears most at a rate of false accepts.

    Parameters
    ----------
    curves
        By the windows of their smoothing.
    n_words
        Words.
    rate
        False accepts per hour, of each word.

    Returns
    -------
    tuple[int, list[float | None]]
        The windows, and each word's threshold: None where none is strict enough.
    """
    best: tuple[float, int, list[float | None]] | None = None
    for windows, found in sorted(curves.items()):
        chosen = [found.threshold(word, rate) for word in range(n_words)]
        strict = np.array([2.0 if t is None else t for t in chosen])
        recall = float((found.scores >= strict[found.word_of]).mean())
        if best is None or recall > best[0]:
            best = recall, windows, chosen
    assert best is not None
    return best[1], best[2]
