"""A fixed stream with words in it, in the shape of MLPerf Tiny's streaming wake word.

Pieces of background follow each other, and between them words are spoken in quiet: so many are heard
(true positives), missed (false negatives), and heard where they are not (false positives).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bifast.detector import Event
from bifast.model import Model
from bifast.tune.material import Wave

# Seconds of a piece of background that can be used.
LONGEST = 12.0
# Seconds: of background between two words, and of quiet round a word.
_BETWEEN = (4.0, LONGEST)
_QUIET = 1.0
_QUIET_LEVEL = 0.0005
_CHUNK = 0.02


@dataclass(frozen=True)
class Stream:
    """Sound, and the words in it: each with its first and last sample."""

    wave: Wave
    words: list[tuple[str, int, int]]


@dataclass(frozen=True)
class Outcome:
    """Counts, the share of a core that the stream took, and the share of windows at each depth."""

    true_positives: int
    false_negatives: int
    false_positives: int
    duty: float
    depths: dict[str, float]


def assemble(
    clips: Sequence[tuple[str, Wave]],
    background: Sequence[Wave],
    seconds: float,
    rate: int,
    seed: int,
) -> Stream:
    """Make a stream; a function of its arguments.

    It is as long as there is background and there are clips, at most `seconds`.
    """
    rng = np.random.default_rng(seed)
    parts: list[Wave] = [np.zeros(0, np.float32)]
    words: list[tuple[str, int, int]] = []
    length = 0
    pieces = rng.permutation(len(background)).tolist()
    for piece, (word, wave) in zip(pieces, _in_turns(clips, rng), strict=False):
        if length >= seconds * rate:
            break
        between = background[piece][: int(rng.uniform(*_BETWEEN) * rate)]
        before, after = rng.normal(0.0, _QUIET_LEVEL, (2, int(_QUIET * rate))).astype(np.float32)
        start = length + len(between) + len(before)
        words.append((word, start, start + len(wave)))
        parts += [between, before, wave, after]
        length = start + len(wave) + len(after)
    return Stream(np.concatenate(parts), words)


def _in_turns(
    clips: Sequence[tuple[str, Wave]], rng: np.random.Generator
) -> list[tuple[str, Wave]]:
    """Shuffle the clips and let the words take turns."""
    queues: dict[str, list[tuple[str, Wave]]] = {}
    for index in rng.permutation(len(clips)).tolist():
        queues.setdefault(clips[index][0], []).append(clips[index])
    ranked = [(n, word, clip) for word, q in sorted(queues.items()) for n, clip in enumerate(q)]
    return [clip for _, _, clip in sorted(ranked, key=lambda item: item[:2])]


def listen(model: Model, stream: Stream, hop: float, depth: str) -> Outcome:
    """Push the stream in chunks of 20 ms through a listener and count."""
    chunk = int(_CHUNK * model.sample_rate)
    words = {word: None for word in model.words}
    with model.listen(words, hop=hop, depth=depth, pre_roll=0.0) as listener:
        events: list[Event] = []
        begin = time.thread_time()
        for first in range(0, len(stream.wave), chunk):
            events += listener.push(stream.wave[first : first + chunk])
        spent = time.thread_time() - begin
        scored = listener.stream.scored
    total = max(1, sum(scored.values()))
    hits, wrong = count(stream.words, events)
    return Outcome(
        hits,
        len(stream.words) - hits,
        wrong,
        spent * model.sample_rate / max(1, len(stream.wave)),
        {name: n / total for name, n in scored.items()},
    )


def count(words: Sequence[tuple[str, int, int]], events: Sequence[Event]) -> tuple[int, int]:
    """Return how many words were heard, and how many events are no word or a second one of it."""
    heard = set()
    for event in events:
        for index, (word, start, end) in enumerate(words):
            if (
                event.word == word
                and event.start < end
                and event.end > start
                and index not in heard
            ):
                heard.add(index)
                break
    return len(heard), len(events) - len(heard)
