"""Word: when a word counts as heard."""

from __future__ import annotations

from typing import NamedTuple

from bifast.inputs import number

# Classes that are no words.
NOT_WORDS = frozenset({"silence", "unknown"})


class Word(NamedTuple):
    """When a word counts as heard.

    Attributes
    ----------
    threshold
        The smoothed probability from which it does, 0 .. 1.
    smoothing
        Seconds of audio over whose windows the probability is averaged; 0 takes each window alone.
    refractory
        Seconds after the end of an event in which the word is not heard again.
    """

    threshold: float = 0.8
    smoothing: float = 0.5
    refractory: float = 1.0


def check_word(name: str, word: Word) -> Word:
    """Return the settings of a word; TypeError or ValueError if they make no sense."""
    if not isinstance(word, Word):
        raise TypeError(f"{name}: expected a bifast.Word or None, got {type(word).__name__}")
    if not 0 < number(f"{name}: threshold", word.threshold) <= 1:
        raise ValueError(f"{name}: threshold: expected above 0, up to 1, got {word.threshold}")
    for what in ("smoothing", "refractory"):
        seconds = getattr(word, what)
        if not 0 <= number(f"{name}: {what}", seconds) <= 3600:
            raise ValueError(f"{name}: {what}: expected 0 .. 3600 seconds, got {seconds}")
    return word
