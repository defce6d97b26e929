"""Detector: from scores over time to words heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast import inputs
from bifast.names import unknown
from bifast.results import Scan, softmax
from bifast.word import NOT_WORDS, Word, check_word


class Event(NamedTuple):
    """A word that was heard.

    Attributes
    ----------
    word, score
        The label, and its smoothed probability.
    start, end
        Numbers of samples: the window that is surest of the word.
    sample_rate
        Hz.
    audio
        float32, from the pre-roll before `start`, or where the audio begins, up to `end`, or where it ends:
        the same however it was cut. Empty without a `Listener`.
    audio_start
        Number of the first sample of `audio`.
    """

    word: str
    score: float
    start: int
    end: int
    sample_rate: int
    audio: NDArray[np.float32]
    audio_start: int


class _Track:
    """One word: where its probability stands in a row, its settings, and what is remembered of it."""

    __slots__ = ("armed", "count", "index", "recent", "rest_until", "word")

    def __init__(self, index: int, word: Word, count: int) -> None:
        self.index = index
        self.word = word
        self.count = count  # windows that are averaged
        self.forget()

    def forget(self) -> None:
        self.recent: deque[tuple[int, float]] = deque()  # start and probability of windows
        self.rest_until = -np.inf  # sample
        self.armed = True


class Detector:
    """Decides on scores in their order: which word was heard, and when.

    A word is heard when the mean of its probability over the windows of the last `smoothing` seconds
    reaches its threshold. It can be heard again once that mean has been below the threshold and the
    refractory time is over. Windows that a gate left out count as windows with probability 0.

    Parameters
    ----------
    labels
        The model's classes.
    hop
        Samples between windows.
    sample_rate
        Hz.
    words
        The words to listen for, each with its settings or None for the usual ones. None: the words
        of `usual`, or without these every label but `silence` and `unknown`.
    usual
        The settings of words, such as `Model.words`; of others they are `Word()`.

    Raises
    ------
    ValueError
        If a word is no label, or a setting out of range.
    TypeError
        If `words` is no mapping, or a setting no `Word`.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        hop: int,
        sample_rate: int,
        words: Mapping[str, Word | None] | None = None,
        usual: Mapping[str, Word] | None = None,
    ) -> None:
        usual = usual or {}
        if words is None:
            words = {label: None for label in usual or labels if label not in NOT_WORDS}
        if not isinstance(words, Mapping):
            raise TypeError(
                f"words: expected a dict, such as {{'yes': None}}, got {type(words).__name__}"
            )
        if not words:
            raise ValueError(f"words: expected at least one of the labels: {', '.join(labels)}")
        self._hop = hop
        self._rate = sample_rate
        self._tracks: dict[str, _Track] = {}
        for name, setting in words.items():
            if name not in labels:
                raise ValueError(unknown("word", name, labels))
            word = check_word(name, usual.get(name, Word()) if setting is None else setting)
            count = max(1, round(word.smoothing * sample_rate / hop))
            self._tracks[name] = _Track(labels.index(name), word, count)
        self._mute_until = -np.inf

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._rate

    @property
    def words(self) -> dict[str, Word]:
        """The words and their settings."""
        return {name: track.word for name, track in self._tracks.items()}

    def mute(self, until: float) -> None:
        """Hear nothing in windows that begin before `until` seconds of the stream.

        For a device that speaks itself: a window that holds any of its speech decides nothing.
        """
        if not inputs.number("mute", until) < np.inf:
            raise ValueError(f"mute: expected seconds, got {until}")
        self._mute_until = until * self._rate

    def reset(self) -> None:
        """Forget all scores; a mute stays."""
        for track in self._tracks.values():
            track.forget()

    def update(self, scan: Scan) -> list[Event]:
        """Take the next windows of a stream and return what is heard in them, oldest first."""
        events = []
        for start, row in zip(scan.starts.tolist(), softmax(scan.logits), strict=True):
            if start < self._mute_until:
                continue
            for name, track in self._tracks.items():
                found = self._decide(track, start, float(row[track.index]), scan.window)
                if found is not None:
                    score, first = found
                    end, nothing = first + scan.window, np.empty(0, np.float32)
                    events.append(Event(name, score, first, end, self._rate, nothing, end))
        return events

    def _decide(
        self, track: _Track, start: int, probability: float, window: int
    ) -> tuple[float, int] | None:
        """Take one window; return score and start of an event, if this is one."""
        recent = track.recent
        if recent and start - recent[-1][0] > self._hop:
            track.armed = True  # windows are missing: nothing was heard there
        recent.append((start, probability))
        while recent[0][0] <= start - track.count * self._hop:
            recent.popleft()
        # A stream's last window may follow the one before by less than a hop.
        score = sum(p for _, p in recent) / max(track.count, len(recent))
        if score < track.word.threshold:
            track.armed = True
            return None
        if not track.armed or start + window < track.rest_until:
            return None
        best, _ = max(recent, key=lambda item: item[1])
        track.armed = False
        track.rest_until = best + window + track.word.refractory * self._rate
        return score, best
