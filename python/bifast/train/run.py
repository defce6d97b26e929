"""The run folder: config, versions, metrics, curves; and messages to whoever watches."""

from __future__ import annotations

import csv
import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bifast
from bifast.atomic import write_atomic
from bifast.train.data.features import Split
from bifast.train.place import Place
from bifast.train.recipe import Recipe


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, atomically."""
    text = json.dumps(value, indent=2, default=list) + "\n"
    write_atomic(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def write_config(
    out: Path, recipe: Recipe, splits: dict[str, Split], skipped: list[str], place: Place
) -> None:
    """Write `config.json`: the whole recipe, versions, machine, clips of each split and those left out."""
    versions = {
        "bifast": bifast.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": sys.platform,
    }
    machine = {
        "device": str(place.device),
        "processes": place.world,
        "threads": torch.get_num_threads(),
    }
    config = {
        "recipe": dataclasses.asdict(recipe),
        "versions": versions,
        "machine": machine,
        "clips": {name: split.labels.size for name, split in splits.items()},
        "left_out": {
            "data folder": skipped,
            **{name: split.broken for name, split in splits.items()},
        },
    }
    write_json(out / "config.json", config)


def write_metrics(out: Path, history: list[dict[str, float]]) -> None:
    """Write `metrics.csv`, one row an epoch."""

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(history[0]))
            table.writeheader()
            table.writerows(history)

    write_atomic(out / "metrics.csv", write)


def draw_curves(out: Path, history: list[dict[str, float]]) -> None:
    """Draw `curves.png`: loss, and validation accuracy of each depth, over the epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history])
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    for key in history[0]:
        if key.startswith("validation_"):
            label = key.removeprefix("validation_")
            right.plot(epochs, [100 * row[key] for row in history], label=label)
    right.set(xlabel="epoch", ylabel="validation accuracy, %")
    right.legend()
    right.grid(alpha=0.3)
    figure.tight_layout()
    write_atomic(out / "curves.png", lambda beside: figure.savefig(beside, dpi=120))
    pyplot.close(figure)
