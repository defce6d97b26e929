"""Recordings of a word: find it, or say what is wrong with the recording and what to record instead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

SHORTEST, LONGEST = 0.3, 30.0
# Of the word itself, seconds. A little more than the window still leaves most of the word in it.
_SHORTEST_WORD, _LONGEST_WORD = 0.12, 1.3
# DB below full scale: no speech is quieter in a recording that is of use.
_SILENT = -50.0
# DB between the loudest part and the quiet parts, below which nothing stands out.
_CONTRAST = 8.0
# Share of a word's samples at the largest value: a few peaks harm nothing.
_CLIPPED = 0.01
_FRAME = 0.01
# Pauses up to this long belong to a word (the closure of a consonant, the gap between two words).
_PAUSE = 0.2


class RefusedError(ValueError):
    """What was recorded cannot be enrolled; `reasons` has one line each, with what to do.

    Parameters
    ----------
    reasons
        At least one.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Recording(NamedTuple):
    """A recording and where the word lies in it.

    Attributes
    ----------
    name
        For messages.
    wave
        [S], at the model's rate.
    first, last
        Samples: the word is `wave[first:last]`.
    """

    name: str
    wave: Wave
    first: int
    last: int


def find_word(name: str, wave: Wave, rate: int) -> Recording:
    """Find the word: the loudest stretch of sound.

    Raises
    ------
    RefusedError
        If the recording is silent, clipped, too short or long, or its word is.
    """
    seconds = wave.size / rate
    if not SHORTEST <= seconds <= LONGEST:
        _refuse(
            name,
            f"lasts {seconds:.2f} s; record the word alone, in {SHORTEST:g} to {LONGEST:g} s of sound",
        )
    peak = float(np.abs(wave).max())
    if peak < 10 ** (_SILENT / 20):
        level = "digital silence" if peak == 0 else f"a peak of {20 * np.log10(peak):.0f} dB"
        _refuse(name, f"is silent ({level}); check the microphone and its level")
    first, last, contrast = _loudest_stretch(wave, rate)
    if contrast < _CONTRAST and seconds > _LONGEST_WORD:
        _refuse(
            name,
            f"has no word that stands out: its loudest part is {contrast:.0f} dB above the rest; "
            "record nearer to the microphone, or where it is quieter",
        )
    length = (last - first) / rate
    if not _SHORTEST_WORD <= length <= _LONGEST_WORD:
        _refuse(
            name,
            f"has a sound of {length:.2f} s; a word takes {_SHORTEST_WORD:g} to {_LONGEST_WORD:g} s: "
            "the model hears one second at a time; say the word once, with a pause before and after it",
        )
    clipped = float(np.mean(np.abs(wave[first:last]) >= 0.995 * peak))
    if peak > 0.9 and clipped > _CLIPPED:
        _refuse(
            name,
            f"is clipped: {100 * clipped:.0f} % of the word's samples are at the largest value; "
            "turn the level of the microphone down and record again",
        )
    return Recording(name, wave, first, last)


def _refuse(name: str, why: str) -> None:
    raise RefusedError([f"{name}: {why}"])


def _loudest_stretch(wave: Wave, rate: int) -> tuple[int, int, float]:
    """Return first and last sample of the stretch with most sound, and its dB above the quiet parts."""
    frame = max(1, round(_FRAME * rate))
    count = max(1, wave.size // frame)
    power = np.square(np.resize(wave, count * frame), dtype=np.float64).reshape(count, frame)
    level = 10 * np.log10(power.mean(axis=1) + 1e-12)
    level = np.convolve(np.pad(level, 1, mode="edge"), np.ones(3) / 3, "valid")
    low, high = float(np.percentile(level, 10)), float(level.max())
    # A third of the way up, and no more than 30 dB below the loudest frame.
    floor = max(low + 0.35 * (high - low), high - 30)
    loud = np.flatnonzero(level >= floor)
    cuts = np.flatnonzero(np.diff(loud) > _PAUSE / _FRAME) + 1
    stretches = np.split(loud, cuts)
    best = max(stretches, key=lambda s: float((level[s] - low).sum()))
    return int(best[0]) * frame, min(wave.size, (int(best[-1]) + 1) * frame), high - low
