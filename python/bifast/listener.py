"""Listener: samples in, words out, each with the audio before it."""

from __future__ import annotations

from collections import deque
from typing import final

import numpy as np

from bifast import inputs
from bifast.detector import Detector, Event
from bifast.results import Scan
from bifast.stream import Stream

MAX_PRE_ROLL = 60.0


@final
class Listener:
    """A stream, a detector, and the audio of the last seconds: samples in, words out.

    Made by `Model.listen`. Not for two threads at once.
    """

    def __init__(self, stream: Stream, detector: Detector, pre_roll: float, window: int) -> None:
        if not 0 <= inputs.number("pre_roll", pre_roll) <= MAX_PRE_ROLL:
            raise ValueError(
                f"pre_roll: expected 0 .. {MAX_PRE_ROLL:g} seconds, got {pre_roll}; a longer one would "
                "keep that much audio in memory"
            )
        self._stream = stream
        self._detector = detector
        self._block = window
        self._pre_roll = round(pre_roll * detector.sample_rate)
        # An event lies back by its smoothing, by its window and the half frame that ends it, and by the
        # block in which it was found.
        smoothing = max(word.smoothing for word in detector.words.values())
        self._keep = self._pre_roll + round(smoothing * detector.sample_rate) + 3 * window
        self._history: deque[inputs.Samples] = deque()
        self._kept = 0
        self.last = stream.push(np.empty(0, np.int16))

    @property
    def stream(self) -> Stream:
        """The stream inside."""
        return self._stream

    @property
    def detector(self) -> Detector:
        """The detector inside."""
        return self._detector

    @property
    def quiet(self) -> int:
        """Samples of silence that a recording wants before and behind it: whole hops, the longest smoothing.

        Then as many windows hold all of a short clip as are averaged.
        """
        rate = self._detector.sample_rate
        hop = round(self._stream.hop * rate)
        longest = max(word.smoothing for word in self._detector.words.values())
        return -(-round(longest * rate) // hop) * hop

    def mute(self, until: float) -> None:
        """As `Detector.mute`."""
        self._detector.mute(until)

    def push(self, samples: inputs.Samples) -> list[Event]:
        """Take samples as `Stream.push` does, with its errors, and return the words that are heard.

        `last` then holds the scores that decided.
        """
        if isinstance(samples, np.ndarray) and samples.size > self._block:
            # The audio of an event must still be there when it is found: not all at once, but all
            # checked before any is taken.
            self._stream.check(samples)
            blocks = range(0, len(samples), self._block)
            found = [self._push(samples[first : first + self._block]) for first in blocks]
            self.last = Scan.join([scan for scan, _ in found])
            return [event for _, events in found for event in events]
        self.last, events = self._push(samples)
        return events

    def flush(self) -> list[Event]:
        """End the audio as `Stream.flush` does and return the words that are heard."""
        self.last = self._stream.flush()
        return self._heard(self.last)

    def reset(self, position: int = 0) -> None:
        """Forget all audio and scores, after a gap; the next sample counts as number `position`."""
        self._stream.reset(position)
        self._detector.reset()
        self._history.clear()
        self._kept = 0

    def close(self) -> None:
        """Close the stream and drop the audio."""
        self._stream.close()
        self._history.clear()

    def __enter__(self) -> Listener:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def _push(self, samples: inputs.Samples) -> tuple[Scan, list[Event]]:
        scan = self._stream.push(samples)
        self._remember(samples)
        return scan, self._heard(scan)

    def _remember(self, samples: inputs.Samples) -> None:
        """Keep a copy; forget chunks that are too old as a whole."""
        self._history.append(samples.copy())
        self._kept += len(samples)
        while self._kept - len(self._history[0]) >= self._keep:
            self._kept -= len(self._history.popleft())

    def _heard(self, scan: Scan) -> list[Event]:
        if not len(scan):
            return []
        return [self._with_audio(event) for event in self._detector.update(scan)]

    def _with_audio(self, event: Event) -> Event:
        end = self._stream.position
        first = max(event.start - self._pre_roll, end - self._kept)
        chunks = [
            chunk.astype(np.float32) / np.float32(32768) if chunk.dtype == np.int16 else chunk
            for chunk in self._history
        ]
        audio = np.concatenate(chunks)[first - (end - self._kept) : event.end - (end - self._kept)]
        return event._replace(audio=audio, audio_start=first)
