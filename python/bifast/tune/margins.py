"""Margins of a cascade: as little work as possible for as many words heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast import _core
from bifast.format import Level, ModelFile
from bifast.results import softmax
from bifast.tune.scores import Setting, clip_scores, fired, smoothed
from bifast.tune.thresholds import Heard

# Margins that are tried: logits by which the best label leads.
OTHER = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
NEVER = 1e9
WORD = (4.0, 6.0, NEVER)


@dataclass(frozen=True)
class Chosen:
    """A cascade: its levels, deepest first, and what it does on the material it was tuned on.

    Attributes
    ----------
    levels
        None: the depth is left out.
    heard, accepts
        Which clips are heard, and false accepts.
    work
        Work of a window of background, as part of the work at full depth.
    """

    levels: tuple[Level | None, ...]
    heard: NDArray[np.bool_]
    accepts: int
    work: float


def work_of(file: ModelFile) -> tuple[int, list[int]]:
    """Work of the layers that all depths share, and of those that each depth adds to them.

    As the engine counts it (bifast_work in bifast.h): it orders cascades and measures no time.
    """
    return _core.Model(file.to_bytes()).work


def sure(logits: NDArray[Any], level: Level, is_word: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of which windows a level is sure, as the engine decides (docs/format.md, CASC)."""
    rows = np.arange(len(logits))
    best = logits.argmax(axis=1)
    word = is_word[best]
    rivals = np.where(word[:, None] | is_word, logits, np.float32(-np.inf))
    rivals[rows, best] = -np.inf
    lead = logits[rows, best] - rivals.max(axis=1)
    return np.asarray(lead >= np.where(word, np.float32(level.word), np.float32(level.other)))


def cascaded(
    logits: Sequence[NDArray[Any]], levels: Sequence[Level | None], is_word: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return what depth `auto` gives: logits, and the depth of each window; depths deepest first."""
    result = logits[0]
    depth = np.zeros(len(result), np.int64)
    for index, level in enumerate(levels):
        if level is not None:
            is_sure = sure(logits[index], level, is_word)
            result = np.where(is_sure[:, None], logits[index], result)
            depth = np.where(is_sure, index, depth)
    return result, depth


def relative_work(
    depth: NDArray[np.int64], levels: Sequence[Level | None], shared: float, own: Sequence[float]
) -> float:
    """Mean work of windows scored at these depths, as part of that at full depth."""
    used = [index for index, level in enumerate(levels) if level is not None]
    total = shared
    for index in used:
        total += own[index] * float((depth <= index).mean())
    return total / (shared + own[0])


def tune_cascade(
    heard: Sequence[Heard],
    file: ModelFile,
    thresholds: NDArray[Any],
    windows: int,
    setting: Setting,
    *,
    loss: float,
) -> Chosen:
    """Choose the cascade of least work that loses at most `loss` of the words.

    Each word that full depth hears and the cascade does not is lost, whatever else the cascade hears: on
    other clips gains and losses would not even out the same way.

    Parameters
    ----------
    heard
        At each depth, deepest first.
    file
        The model.
    thresholds, windows
        Of each word, and the windows of their smoothing.
    loss
        Share of the clips that may be lost; and there may be no more false accepts than at full depth.
    """
    is_word = np.zeros(len(file.labels), bool)
    is_word[setting.columns] = True
    shared, own = work_of(file)
    clips, background = [h.clips for h in heard], [h.background for h in heard]

    def measured(levels: tuple[Level | None, ...]) -> Chosen:
        words, _ = cascaded(clips, levels, is_word)
        noise, depth = cascaded(background, levels, is_word)
        smooth = smoothed(softmax(words)[:, setting.columns], windows)
        scores = clip_scores(smooth, heard[0].spans, windows, setting)
        strict = thresholds[[word for word, _, _ in heard[0].spans]]
        accepts = count_accepts(noise, thresholds, windows, setting)
        work = relative_work(depth, levels, shared, own)
        return Chosen(levels, scores >= strict, accepts, work)

    full = measured((Level(0.0, 0.0), *[None] * (len(heard) - 1)))
    best = full
    for levels in candidates(len(heard)):
        found = measured(levels)
        lost = float((full.heard & ~found.heard).mean())
        if lost > loss or found.accepts > full.accepts:
            continue
        if found.work < best.work:
            best = found
    return best


def count_accepts(
    logits: NDArray[Any], thresholds: NDArray[Any], windows: int, setting: Setting
) -> int:
    """Words heard in the background, all together."""
    noise = softmax(logits)[:, setting.columns]
    smooth = smoothed(noise, windows)
    return sum(
        len(fired(smooth[:, word], noise[:, word], threshold, windows, setting))
        for word, threshold in enumerate(thresholds.tolist())
    )


def candidates(n_depths: int) -> list[tuple[Level | None, ...]]:
    """Cascades of the shallowest depth, the deepest, and at most one between."""
    found = []
    between = [(), *combinations(range(1, n_depths - 1), 1)] if n_depths > 1 else []
    for middle in between:
        used = [n_depths - 1, *middle]
        for word, *others in product(WORD, *[OTHER] * len(used)):
            levels: list[Level | None] = [None] * n_depths
            levels[0] = Level(0.0, 0.0)
            for index, other in zip(used, others, strict=True):
                levels[index] = Level(word, other)
            found.append(tuple(levels))
    return found
