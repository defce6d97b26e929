"""Words in one file, and in many with the help of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, wait
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bifast import audio
from bifast.detector import Event
from bifast.errors import BifastError
from bifast.listener import Listener
from bifast.model import Model
from bifast.results import Scan
from bifast.word import Word


class Settings(NamedTuple):
    """What decides the words of a file: the model's bytes, the words, and a stream's settings."""

    model: bytes
    isa: str | None
    words: tuple[tuple[str, Word], ...]
    hop: float
    depth: str
    gate: float | None


class Heard(NamedTuple):
    """A word: its smoothed probability, and the window surest of it in seconds of the file."""

    word: str
    score: float
    start: float
    end: float


class Record(NamedTuple):
    """What became of one file.

    Attributes
    ----------
    file
        Its path, as given.
    size, changed
        Bytes, and time of the last change in ns, by which it is known again; -1 if it is not there.
    seconds
        Audio that was scanned.
    heard
        The words, in order of time; none where `error` tells why the file failed.
    """

    file: str
    size: int
    changed: int
    seconds: float
    heard: list[Heard]
    error: str | None


def scan_file(settings: Settings, file: str) -> Record:
    """Find the words in one file, block by block; a fault of the file becomes its record."""
    size = changed = -1
    seconds = 0.0
    try:
        status = Path(file).stat()
        size, changed = status.st_size, status.st_mtime_ns
        heard, seconds = _scan(settings, file)
        return Record(file, size, changed, seconds, heard, None)
    except (BifastError, ValueError, OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Record(file, size, changed, seconds, [], reason)


def listen(settings: Settings) -> Listener:
    """Start to listen as the settings say; errors as `Model.listen`."""
    model = _load(settings.model, settings.isa)
    words = dict(settings.words)
    return model.listen(
        words, hop=settings.hop, depth=settings.depth, gate=settings.gate, pre_roll=0.0
    )


def scan_files(
    settings: Settings, files: Sequence[str], executor: Executor | None, in_flight: int
) -> Iterator[Record]:
    """Yield the record of each file as soon as it is there, in any order.

    Parameters
    ----------
    settings, files
        What to do; the executor may hold `settings` on the workers' side.
    executor
        Who does it; None: this thread.
    in_flight
        Files that are handed over at once, so that a million of them need no memory.

    Raises
    ------
    OSError
        If a worker died.
    """
    if executor is None:
        yield from (scan_file(settings, file) for file in files)
        return
    rest = iter(files)
    waiting = {executor.submit(scan_file, settings, file) for file in islice(rest, in_flight)}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        waiting |= {executor.submit(scan_file, settings, file) for file in islice(rest, len(done))}
        try:
            yield from [future.result() for future in done]
        except (BrokenExecutor, CancelledError) as error:
            raise OSError(f"a worker died, perhaps out of memory ({error})") from None


def _scan(settings: Settings, file: str) -> tuple[list[Heard], float]:
    """Push a file with silence round it, as `bifast listen` does."""
    heard: list[Heard] = []
    with listen(settings) as listener:
        # Without the listener itself, which would keep the audio of each event.
        stream, detector, lead = listener.stream, listener.detector, listener.quiet

        def note(scan: Scan) -> None:
            heard.extend(_heard(event, lead) for event in detector.update(scan))

        quiet = np.zeros(lead, np.int16)
        note(stream.push(quiet))
        for block in audio.stream(file, detector.sample_rate):
            note(stream.push(block))
        seconds = round((stream.position - lead) / detector.sample_rate, 4)
        note(stream.push(quiet))
        note(stream.flush())
    return heard, seconds


def _heard(event: Event, lead: int) -> Heard:
    """Tell a word in seconds of the file, before which were `lead` samples."""
    start, end = (max(0, number - lead) for number in (event.start, event.end))
    rate = event.sample_rate
    return Heard(event.word, round(event.score, 6), round(start / rate, 4), round(end / rate, 4))


@lru_cache(maxsize=2)
def _load(model: bytes, isa: str | None) -> Model:
    """Load a model once in each worker."""
    return Model(model, isa)
