"""Share of a core that listening takes in its own time, against what it takes at full speed.

    python bench/live_cpu.py [--model NAME|FILE] [--seconds N]

Speech in chunks of 10 ms, pushed when a microphone would have them, with sleep between; then the same chunks one after
the other. `asleep` wakes as often and pushes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import bifast
from bifast import audio, shipped
from bifast.cli.table import format_table

CHUNK = 0.01
Array = np.ndarray[Any, np.dtype[np.int16]]


def share(chunks: list[Array], push: Callable[[Array], object], *, live: bool) -> float:
    """Share of one core for some chunks."""
    begin, cpu = time.monotonic(), time.thread_time()
    for number, chunk in enumerate(chunks, 1):
        if live:
            time.sleep(max(0.0, begin + number * CHUNK - time.monotonic()))
        push(chunk)
    return (time.thread_time() - cpu) / (len(chunks) * CHUNK)


def main() -> None:
    parser = argparse.ArgumentParser(description="Share of a core that listening takes.")
    parser.add_argument("--model", default=bifast.DEFAULT_MODEL)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    model = bifast.Model.load(args.model)
    floats = audio.load(shipped.sentence(), model.sample_rate)
    speech = np.round(floats * 32767).astype(np.int16)
    size = round(CHUNK * model.sample_rate)
    count = round(args.seconds / CHUNK)
    chunks = [np.resize(np.roll(speech, -size * k), size) for k in range(count)]
    rows = [["asleep", "", f"{100 * share(chunks, len, live=True):.3f}"]]
    for depth in model.depths:
        shares = []
        for live in (False, True):
            with model.listen(depth=depth) as listener:
                shares.append(f"{100 * share(chunks, listener.push, live=live):.3f}")
        rows.append([depth, *shares])
    print(format_table(["depth", "full speed, % of a core", "live, % of a core"], rows, "lrr"))


if __name__ == "__main__":
    main()
