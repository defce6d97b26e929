"""Accuracy of a model file on a task, computed by the engine from the waveforms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.model import Model
from bifast.train.data.features import Track
from bifast.train.data.images import ImageFolder, read_images
from bifast.train.data.source import Source
from bifast.train.data.task import Task, load_wave
from bifast.train.scoring import Report, score

_BATCH = 128
# Label and group of an example.
Known = tuple[int, str]


@dataclass
class Measured:
    """Result of one split.

    Attributes
    ----------
    reports
        {depth: scores}.
    milliseconds
        {depth: mean time of a clip, waveform to scores, one thread, in batches}.
    clips
        Number of clips.
    broken
        Clips that were left out, each with its reason.
    """

    reports: dict[str, Report] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    clips: int = 0
    broken: list[str] = field(default_factory=list)


def measure(model: Model, task: Task, source: Source, split: str, track: Track) -> Measured:
    """Run a model at every depth over a split.

    Parameters
    ----------
    model
        Its labels must be those of the task, in the same order.
    task, source, split
        Where the clips, or images, come from.
    track
        Wraps the loop over the clips.

    Returns
    -------
    Measured
        Nothing of it comes from PyTorch.

    Raises
    ------
    ValueError
        If the labels differ, or the split has no clips.
    """
    if model.labels != task.labels:
        raise ValueError(
            f"the model's labels {list(model.labels)} are not those of task {task.name}: "
            f"{list(task.labels)}"
        )
    before = len(source.broken)
    logits: dict[str, list[NDArray[np.float32]]] = {depth: [] for depth in model.depths}
    seconds = dict.fromkeys(model.depths, 0.0)
    kept: list[Known] = []
    for batch, inputs in _batches(model, task, source, split, track):
        kept += batch
        for depth in model.depths:
            start = time.perf_counter()
            logits[depth].append(model.run(inputs, depth=depth))
            seconds[depth] += time.perf_counter() - start
    if not kept:
        reasons = "; ".join(source.broken[before : before + 3])
        raise ValueError(f"{split} split: no clip can be decoded; {reasons}")
    out = Measured(clips=len(kept), broken=source.skipped + source.broken[before:])
    labels = np.array([label for label, _ in kept])
    groups = [group for _, group in kept]
    for depth in model.depths:
        out.reports[depth] = score(np.concatenate(logits[depth]), labels, groups, task.labels)
        out.milliseconds[depth] = 1000 * seconds[depth] / len(kept)
    return out


def _batches(
    model: Model, task: Task, source: Source, split: str, track: Track
) -> Iterator[tuple[list[Known], NDArray[Any]]]:
    """Yield (label, group) of some examples and what the model takes of them."""
    if isinstance(source, ImageFolder):
        yield from _images(model, source, split, track)
        return
    examples = task.examples(source, split)
    if not examples:
        raise ValueError(f"task {task.name}: the data folder has no clips for the {split} split")
    batch: list[Known] = []
    waves: list[NDArray[np.float32]] = []
    for example in track(examples, f"engine: {split}"):
        wave = load_wave(example, source, None, model.window)
        if wave is None:
            continue
        batch.append((example.label, example.group))
        waves.append(wave)
        if len(batch) == _BATCH:
            yield batch, np.stack(waves)
            batch, waves = [], []
    if batch:
        yield batch, np.stack(waves)


def _images(
    model: Model, folder: ImageFolder, split: str, track: Track
) -> Iterator[tuple[list[Known], NDArray[Any]]]:
    found = read_images(folder, split, track)
    for start in track(range(0, len(found["labels"]), _BATCH), f"engine: {split}"):
        part = slice(start, start + _BATCH)
        labels = found["labels"][part].tolist()
        known = [(label, folder.task.labels[label]) for label in labels]
        yield known, found["images"][part].astype(model.input_dtype)


def summary(measured: Measured) -> dict[str, Any]:
    """Return the numbers for JSON: shares in percent, rounded to hundredths."""

    def percent(share: float) -> float:
        return round(100 * share, 2)

    depths = {}
    for depth, report in measured.reports.items():
        depths[depth] = {
            "accuracy": percent(report.accuracy),
            "keyword_recall": percent(report.keyword_recall),
            "recall": {name: percent(value) for name, value in report.recalls.items()},
            "groups": {
                name: {"clips": count, "right": percent(value)}
                for name, (count, value) in report.groups.items()
            },
            "confusion": report.confusion.tolist(),
            "milliseconds": round(measured.milliseconds[depth], 4),
        }
        if report.false_accepts is not None:
            depths[depth]["unknown_accepted_at_95_recall"] = percent(report.false_accepts)
    return {"clips": measured.clips, "broken": measured.broken, "depths": depths}
