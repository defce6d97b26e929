"""Accuracy of clips alone and of the same clips inside longer audio, through a stream.

    python bench/stream_accuracy.py [--model NAME] [--data FOLDER] [--split testing] [--every N]

A lone clip is reflected at its ends; in a stream the frames at a window's edges see what is really there.
Each clip of the model's task is scored alone (`Model.run`), and in the middle of a stream between zeros, between
white noise as loud as the clip's own quietest tenth of a second, and between the clips before and after it.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import bifast
from bifast.cli.progress import track
from bifast.cli.table import format_table
from bifast.train.data import TASKS, DataFolder, find_data
from bifast.train.data.task import load_wave

Array = np.ndarray[Any, np.dtype[np.float32]]
CONTEXTS = ("alone", "zeros", "noise", "neighbours")


def floor(wave: Array) -> float:
    """RMS of the quietest tenth of a second."""
    parts = wave[: len(wave) // 10 * 10].reshape(10, -1)
    return float(np.sqrt(np.square(parts, dtype=np.float64).mean(axis=1)).min())


def around(kind: str, wave: Array, before: Array, after: Array, size: int) -> tuple[Array, Array]:
    """`size` samples in front of a clip and behind it."""
    if kind == "zeros":
        return np.zeros(size, np.float32), np.zeros(size, np.float32)
    if kind == "neighbours":
        return before[-size:], after[:size]
    rng = np.random.default_rng(len(wave))
    front, back = rng.normal(0.0, floor(wave), (2, size)).astype(np.float32)
    return front, back


def streamed(model: bifast.Model, depth: str, front: Array, wave: Array, back: Array) -> Array:
    """Logits of the window that begins with the clip, in one stream."""
    with model.stream(hop=len(front) / model.sample_rate, depth=depth) as stream:
        scan = stream.push(np.concatenate([front, wave, back]))
    (at,) = np.flatnonzero(scan.starts == len(front))
    logits: Array = scan.logits[at]
    return logits


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy alone and inside a stream.")
    parser.add_argument("--model", default=bifast.DEFAULT_MODEL)
    parser.add_argument("--data")
    parser.add_argument("--split", default="testing")
    parser.add_argument("--every", type=int, default=1, help="take one clip in so many")
    args = parser.parse_args()

    model = bifast.Model.load(args.model)
    folder = DataFolder(find_data(args.data))
    task = TASKS[str(model.card["task"])]
    examples = task.examples(folder, args.split)[:: args.every]
    waves, labels = [], []
    for example in track(examples, "reading", quiet=False):
        wave = load_wave(example, folder, None, model.window)
        if wave is not None:
            waves.append(wave)
            labels.append(example.label)
    size = 8 * model.hop  # more than half a frame, in whole frames
    heard = {(depth, kind): [] for depth in model.depths for kind in CONTEXTS}
    for i, wave in enumerate(track(waves, "engine", quiet=False)):
        before, after = waves[i - 1], waves[(i + 1) % len(waves)]
        for depth in model.depths:
            heard[depth, "alone"].append(model.run(wave, depth=depth).argmax())
            for kind in CONTEXTS[1:]:
                front, back = around(kind, wave, before, after, size)
                heard[depth, kind].append(streamed(model, depth, front, wave, back).argmax())
    right = {key: np.array(found) == labels for key, found in heard.items()}
    rows = []
    for depth in model.depths:
        cells = [f"{100 * right[depth, kind].mean():.2f}" for kind in CONTEXTS]
        changed = [
            f"{100 * np.mean(np.array(heard[depth, kind]) != heard[depth, 'alone']):.1f}"
            for kind in CONTEXTS[1:]
        ]
        rows.append([depth, *cells, *changed])
    print(
        f"{args.model}, task {task.name}, {args.split}: {len(waves)} clips, {model.isa}; percent right,"
    )
    print("and percent of clips whose best class is another one than alone\n")
    header = ["depth", *CONTEXTS, *(f"{kind} differ" for kind in CONTEXTS[1:])]
    print(format_table(header, rows, "lrrrrrrr"))


if __name__ == "__main__":
    main()
