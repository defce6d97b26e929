"""Hop and depth for a share of the processor: what fits is measured, in the order of what is wanted."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bifast import inputs, shipped
from bifast.stream import AUTO, Stream

# Hops that are tried, as multiples of the one that is asked for.
_MULTIPLES = (1, 2, 4)
# Least of so many passes over a few seconds of speech, in chunks of 20 ms.
_PASSES = 3
_CHUNKS_PER_SECOND = 50


class Plan(NamedTuple):
    """Seconds between windows, the depth, and the share of one core that they took."""

    hop: float
    depth: str
    cpu: float


def choose(
    max_cpu: float,
    hop: float,
    depths: Sequence[str],
    measure: Callable[[float, str], float],
) -> Plan:
    """Choose the first setting that fits: the hop that is asked for and the deepest depth first.

    Parameters
    ----------
    max_cpu
        Share of one core, above 0, up to 1.
    hop
        Seconds; where no depth fits, twice and four times as much are tried.
    depths
        The deepest first.
    measure
        Share of one core that a hop and a depth take.

    Raises
    ------
    ValueError
        If max_cpu is out of range, or nothing fits.
    """
    if not 0 < inputs.number("max_cpu", max_cpu) <= 1:
        raise ValueError(f"max_cpu: expected a share of one core, above 0, up to 1, got {max_cpu}")
    least = 1.0
    for multiple in _MULTIPLES:
        for depth in depths:
            taken = measure(hop * multiple, depth)
            if taken <= max_cpu:
                return Plan(hop * multiple, depth, taken)
            least = min(least, taken)
    raise ValueError(
        f"max_cpu: expected at least {least:.2g}, what the least setting takes here, got {max_cpu}"
    )


def order(depths: Sequence[str], has_cascade: bool) -> list[str]:
    """Return the depths from the dearest on: a cascade takes its place behind the deepest."""
    return [depths[0], *([AUTO] if has_cascade else []), *depths[1:]]


def measure(
    open_stream: Callable[[float, str], Stream], rate: int
) -> Callable[[float, str], float]:
    """Return a function that tells the share of one core that a hop and a depth take.

    It pushes the shipped sentence, six seconds of speech, and takes the least of three passes: some
    5 ms of work for each setting.
    """
    with wave.open(str(shipped.sentence())) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    size = max(1, rate // _CHUNKS_PER_SECOND)
    chunks = [speech[first : first + size] for first in range(0, len(speech), size)]

    def share(hop: float, depth: str) -> float:
        times = []
        for _ in range(_PASSES):
            with open_stream(hop, depth) as stream:
                begin = time.thread_time()
                for chunk in chunks:
                    stream.push(chunk)
                times.append(time.thread_time() - begin)
        return min(times) * rate / len(speech)

    return share
