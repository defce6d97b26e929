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
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import Example, Task, load_wave
from bifast.train.scoring import Report, score

_BATCH = 128


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


def measure(model: Model, task: Task, folder: DataFolder, split: str, track: Track) -> Measured:
    """Run a model at every depth over a split.

    Parameters
    ----------
    model
        Its labels must be those of the task, in the same order.
    task, folder, split
        Where the clips come from.
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
    examples = task.examples(folder, split)
    if not examples:
        raise ValueError(f"task {task.name}: the data folder has no clips for the {split} split")
    before = len(folder.broken)
    logits: dict[str, list[NDArray[np.float32]]] = {depth: [] for depth in model.depths}
    seconds = dict.fromkeys(model.depths, 0.0)
    kept: list[Example] = []
    for batch, waves in _batches(examples, folder, model.window, track, split):
        kept += batch
        for depth in model.depths:
            start = time.perf_counter()
            logits[depth].append(model.run(waves, depth=depth))
            seconds[depth] += time.perf_counter() - start
    if not kept:
        reasons = "; ".join(folder.broken[before : before + 3])
        raise ValueError(f"{split} split: none of {len(examples)} clips can be decoded; {reasons}")
    out = Measured(clips=len(kept), broken=folder.skipped + folder.broken[before:])
    labels = np.array([e.label for e in kept])
    groups = [e.group for e in kept]
    for depth in model.depths:
        out.reports[depth] = score(np.concatenate(logits[depth]), labels, groups, task.labels)
        out.milliseconds[depth] = 1000 * seconds[depth] / len(kept)
    return out


def _batches(
    examples: list[Example], folder: DataFolder, samples: int, track: Track, split: str
) -> Iterator[tuple[list[Example], NDArray[np.float32]]]:
    batch: list[Example] = []
    waves: list[NDArray[np.float32]] = []
    for example in track(examples, f"engine: {split}"):
        wave = load_wave(example, folder, None, samples)
        if wave is None:
            continue
        batch.append(example)
        waves.append(wave)
        if len(batch) == _BATCH:
            yield batch, np.stack(waves)
            batch, waves = [], []
    if batch:
        yield batch, np.stack(waves)


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
