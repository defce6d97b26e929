"""Accuracy against bytes and against time per clip, for models of ours and of others, in one run.

    python bench/frontier.py runs/sc11 runs/sc11-bcresnet my.bifast --out docs/frontier.md

Every clip of the test split goes through every model, from the waveform, and then each is timed: rounds
over all models, in each the best of a few calls, so that whatever else the machine does hits all alike.
The table gives medians over the rounds. Models of one name are seeds of one net: their accuracies give a
mean and a spread, and the first is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from frontier_page import PARTS, Result, page
from frontier_picture import draw
from rivals import Array, Rival, rivals_of

from bifast.atomic import write_atomic
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


def seeds(rivals: list[Rival]) -> list[list[Rival]]:
    """Put models of one title together, in the order of the first of each."""
    groups: dict[str, list[Rival]] = {}
    for rival in rivals:
        groups.setdefault(rival.title, []).append(rival)
    return list(groups.values())


def write(results: list[Result], clips: int, page_path: Path, measured: Path) -> None:
    """Write the page, and the figures and the picture into a folder beside it."""
    measured.mkdir(parents=True, exist_ok=True)
    draw(results, measured / "table.png")
    told = {"clips": clips, "models": [result.told() for result in results]}
    picture = measured.relative_to(page_path.parent) / "table.png"
    for path, text in (
        (measured / "table.json", json.dumps(told, indent=1) + "\n"),
        (page_path, page(results, clips, picture.as_posix())),
    ):
        write_atomic(path, partial(Path.write_text, data=text, encoding="utf-8"))


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
    groups = seeds(rivals)
    shares = []
    for group in groups:
        shares.append(tuple(accuracy(rival, waves, labels) for rival in group))
        told = ", ".join(f"{100 * share:.2f}" for share in shares[-1])
        print(f"{group[0].title}: {told} %", file=sys.stderr)
    first = [group[0] for group in groups]
    times = clock(first, waves, args.rounds)
    results = [Result(*facts) for facts in zip(first, shares, times, strict=True)]
    write(results, len(waves), args.out, args.out.parent / "measured" / args.out.stem)
    print(args.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
