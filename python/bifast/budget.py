"""Hop and depth for a share of the processor: what fits is measured, in the order of what is wanted."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from bifast import inputs, shipped
from bifast.stream import AUTO, Stream

if TYPE_CHECKING:
    from bifast.listener import Listener

# Opens what will run with a hop and a depth.
Open = Callable[[float, str], "Stream | Listener"]

# Hops that are tried, as multiples of the one that is asked for.
_MULTIPLES = (1, 2, 4)
# A device listens in small chunks and sleeps between them, so that each push meets cold caches and a thread that
# wakes: what that takes, many times the work on a machine whose sleeps are dear, is measured so as well.
_CHUNK_SECONDS = 0.01
_WAKE_SECONDS, _LIVE_SECONDS = 0.5, 1.0
# Least of so many passes at full speed.
_PASSES = 3


class Plan(NamedTuple):
    """Seconds between windows, the depth, and the share of one core that they took."""

    hop: float
    depth: str
    cpu: float


class Meter(Protocol):
    """What a hop and a depth take, as shares of one core."""

    def least(self, hop: float, depth: str) -> float:
        """Estimate, at once."""

    def live(self, hop: float, depth: str) -> float:
        """Measure as it will run, in its own time."""


def choose(max_cpu: float, hop: float, depths: Sequence[str], meter: Meter) -> Plan:
    """Choose the first setting that fits: the hop that is asked for and the deepest depth first.

    A setting is taken if it fits when it is measured live, which takes time: those whose estimate does not fit are
    passed over.

    Parameters
    ----------
    max_cpu
        Share of one core, above 0, up to 1.
    hop
        Seconds; where no depth fits, twice and four times as much are tried.
    depths
        The deepest first.
    meter
        Measures.

    Raises
    ------
    ValueError
        If nothing fits.
    """
    least = np.inf
    for multiple in _MULTIPLES:
        for depth in depths:
            taken = meter.least(hop * multiple, depth)
            if taken <= max_cpu:
                taken = meter.live(hop * multiple, depth)
            if taken <= max_cpu:
                return Plan(hop * multiple, depth, taken)
            least = min(least, taken)
    raise ValueError(
        f"max_cpu: expected at least {least:.2g}, what the least setting takes here, got {max_cpu}"
    )


def plan(
    max_cpu: float,
    hop: float,
    depths: Sequence[str],
    open_taker: Open,
    rate: int,
    window: int,
) -> Plan:
    """As `choose`, measured with what `open_taker` opens; it takes about two seconds.

    Raises
    ------
    ValueError
        If max_cpu is out of range, or nothing fits.
    """
    if not 0 < inputs.number("max_cpu", max_cpu) <= 1:
        raise ValueError(f"max_cpu: expected a share of one core, above 0, up to 1, got {max_cpu}")
    longest = hop * _MULTIPLES[-1]
    return choose(max_cpu, hop, depths, Clock(open_taker, rate, window, depths[-1], longest))


def order(depths: Sequence[str], has_cascade: bool) -> list[str]:
    """Return the depths from the dearest on: a cascade takes its place behind the deepest."""
    return [depths[0], *([AUTO] if has_cascade else []), *depths[1:]]


class Clock:
    """A `Meter` by the CPU time of this thread, on the shipped sentence in chunks of 10 ms.

    Parameters
    ----------
    open_taker
        Opens what will run with a hop and a depth.
    rate, window
        Hz, and the model's window in samples.
    depth
        With which waking is measured.
    longest
        Seconds of the longest hop that will be measured.
    """

    def __init__(
        self, open_taker: Open, rate: int, window: int, depth: str, longest: float
    ) -> None:
        with wave.open(str(shipped.sentence())) as file:
            speech = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        # Two windows before anything is measured, and as much to measure, or the longest hop.
        needed = 2 * window + max(2 * window, round(longest * rate))
        speech = np.tile(speech, -(-needed // len(speech)))
        size = max(1, round(rate * _CHUNK_SECONDS))
        self._chunks = [speech[at : at + size] for at in range(0, len(speech) - size + 1, size)]
        self._open = open_taker
        self._first = -(-2 * window // size)
        never = len(speech) / rate + 1.0  # a hop in which no second window ends
        wakes = round(_WAKE_SECONDS / _CHUNK_SECONDS)
        self._wakes = self._slept(never, depth, wakes) - self._at_once(never, depth)

    def least(self, hop: float, depth: str) -> float:
        """Return the time at full speed, and what waking for each chunk takes besides."""
        return max(0.0, self._wakes) + self._at_once(hop, depth)

    def live(self, hop: float, depth: str) -> float:
        """Push in the time of the sound for the whole hops of a second, or one."""
        return self._slept(hop, depth, self._whole(hop, _LIVE_SECONDS))

    def _at_once(self, hop: float, depth: str) -> float:
        times = []
        measured = self._chunks[self._first :]
        measured = measured[: self._whole(hop, len(measured) * _CHUNK_SECONDS)]
        for _ in range(_PASSES):
            with self._open(hop, depth) as taker:
                for chunk in self._chunks[: self._first]:
                    taker.push(chunk)
                begin = time.thread_time()
                for chunk in measured:
                    taker.push(chunk)
                times.append(time.thread_time() - begin)
        return min(times) / (_CHUNK_SECONDS * len(measured))

    @staticmethod
    def _whole(hop: float, seconds: float) -> int:
        """Return the chunks of the whole hops in so many seconds, of one at least."""
        return round(max(1, int(seconds / hop)) * hop / _CHUNK_SECONDS)

    def _slept(self, hop: float, depth: str, count: int) -> float:
        with self._open(hop, depth) as taker:
            for chunk in self._chunks[: self._first]:
                taker.push(chunk)
            begin, cpu = time.monotonic(), time.thread_time()
            for number, chunk in enumerate(self._chunks[self._first :][:count], 1):
                time.sleep(max(0.0, begin + number * _CHUNK_SECONDS - time.monotonic()))
                taker.push(chunk)
            return (time.thread_time() - cpu) / (_CHUNK_SECONDS * number)
