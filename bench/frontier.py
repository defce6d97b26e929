"""Accuracy against bytes and against time per clip, for models of ours and of others, in one run.

    python bench/frontier.py runs/sc11 runs/sc11-bcresnet my.bifast --out docs/frontier.md

Every clip of the test split goes through every model, from the waveform, and then each is timed: rounds
over all models, in each the best of a few calls, so that whatever else the machine does hits all alike.
The table gives medians over the rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from frontier_page import PARTS, Result, draw, page
from rivals import Array, Rival, rivals_of

from bifast.train.data import TASKS, DataFolder, find_data
from bifast.train.data.task import load_wave

CALLS = 3


def test_clips(task: str, folder: DataFolder) -> tuple[list[Array], Array]:
    """Return the waves of the test split, and their labels."""
    examples = TASKS[task].examples(folder, "testing")
    waves = [load_wave(example, folder, None, 16000) for example in examples]
    labels = [e.label for e, wave in zip(examples, waves, strict=True) if wave is not None]
    return [wave for wave in waves if wave is not None], np.array(labels)


def accuracy(rival: Rival, waves: list[Array], labels: Array) -> float:
    """Return the share of right answers."""
    guesses = [int(np.argmax(rival.clip(wave))) for wave in waves]
    return float(np.mean(np.array(guesses) == labels))


def best(call: Callable[[Array], Any], given: Array) -> float:
    """Return microseconds of the fastest of a few calls."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter_ns()
        call(given)
        times.append(time.perf_counter_ns() - start)
    return min(times) / 1000


def clock(rivals: list[Rival], waves: list[Array], rounds: int) -> list[dict[str, float]]:
    """Return the median microseconds of each part of each model."""
    times = np.empty((rounds, len(rivals), len(PARTS)))
    for number in range(rounds):
        wave = waves[number % len(waves)]
        for row, rival in zip(times[number], rivals, strict=True):
            given = {"features": wave, "net": rival.features(wave), "clip": wave}
            row[:] = [best(getattr(rival, part), given[part]) for part in PARTS]
    medians = np.median(times, axis=0)
    return [dict(zip(PARTS, row, strict=True)) for row in medians.tolist()]


def main() -> None:
    """Measure and write."""
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("models", nargs="+", help="run folders, .bifast files, shipped names")
    parser.add_argument("--data", help="data folder (default: BIFAST_DATA)")
    parser.add_argument("--out", type=Path, default=Path("docs/frontier.md"), help="page to write")
    parser.add_argument("--rounds", type=int, default=300, help="of the timing (default: 300)")
    args = parser.parse_args()
    folder = DataFolder(find_data(args.data))
    rivals = []
    for path in args.models:
        print(f"loading {path}", file=sys.stderr)
        rivals += rivals_of(path, folder)
    tasks = {rival.task for rival in rivals}
    if len(tasks) > 1:
        parser.error(f"the models are of several tasks: {', '.join(sorted(tasks))}")
    waves, labels = test_clips(tasks.pop(), folder)
    shares = []
    for rival in rivals:
        shares.append(accuracy(rival, waves, labels))
        print(f"{rival.title}: {100 * shares[-1]:.2f} %", file=sys.stderr)
    times = clock(rivals, waves, args.rounds)
    results = [Result(*facts) for facts in zip(rivals, shares, times, strict=True)]
    picture = args.out.with_suffix(".png")
    draw(results, picture)
    text = page(results, len(waves), picture.name)
    beside = args.out.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(args.out)
    print(text)


if __name__ == "__main__":
    main()
