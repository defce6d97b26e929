"""`bifast eval`: accuracy of a model on real recordings, by the engine (extra `train`)."""

from __future__ import annotations

import argparse
import json
import statistics
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bifast
from bifast.atomic import write_atomic
from bifast.cli import options
from bifast.cli.table import format_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bifast.train.measure import Measured

_EPILOG = """\
examples:
  bifast eval bifsmn DIR                     every depth on the official test split
  bifast eval seed1.bifast seed2.bifast DIR  several models: mean and spread too
  bifast eval my.bifast DIR --task commands12-papers   another protocol of the same labels
  bifast eval my.bifast DIR --json           one JSON object
  bifast eval bifsmn --split extra           other sounds: sentences, noise
  bifast eval bifsmn --plot confusion.png    a picture of the confusions

exit codes: 0; 2 the model or the data cannot be used.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "eval", "measure a model's accuracy on recordings, by the engine", _EPILOG
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="MODEL .. DATA",
        help="models, names or files (default: the shipped one), and the data folder "
        "(default: BIFAST_DATA)",
    )
    parser.add_argument("--task", help="name of the task (default: what the card says)")
    parser.add_argument("--split", default="testing", help="split (default: %(default)s)")
    parser.add_argument("--depth", help="only the confusions of this depth in the picture")
    options.add_isa(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--plot", metavar="PNG", help="draw the confusion matrix of the first model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from bifast.train import extra

    extra.require()
    from bifast.train.data import TASKS, find_data
    from bifast.train.data.source import open_source
    from bifast.train.data.task import SPLITS
    from bifast.train.measure import measure, summary
    from bifast.train.registry import nearest
    from bifast.train.watch import BarWatcher

    if args.split not in SPLITS:
        raise ValueError(f"unknown split {args.split!r}; {nearest(args.split, list(SPLITS))}")
    folders = [w for w in args.what if _is_data(Path(w))]
    names = [w for w in args.what if w not in folders] or [bifast.DEFAULT_MODEL]
    if len(folders) > 1:
        raise ValueError(f"expected one data folder, got {', '.join(folders)}")
    models = [_load(name, args.isa) for name in names]
    path = find_data(folders[0] if folders else None)
    told = []
    for name, model in zip(names, models, strict=True):
        task = TASKS[args.task or str(model.card.get("task", ""))].for_labels(model.labels)
        with BarWatcher() as watcher:
            measured = measure(model, task, open_source(task, path), args.split, watcher.track)
        facts = {"model": name, "task": task.name, "split": args.split, "isa": model.isa}
        told.append(facts | {"trivial": _trivial(measured)} | summary(measured))
        if args.plot and len(told) == 1:
            depth = args.depth or model.depths[0]
            if depth not in measured.reports:
                raise ValueError(f"unknown depth {depth!r}; {nearest(depth, list(model.depths))}")
            _plot(measured.reports[depth].confusion, task.labels, f"{name}, {depth}", args.plot)
    whole = told[0] if len(told) == 1 else {"models": told, "mean": _mean(told)}
    print(json.dumps(whole) if args.json else "\n\n".join([_text(t) for t in told] + _means(told)))
    return 0


def _load(name: str, isa: str | None) -> bifast.Model:
    try:
        return bifast.Model.load(name, isa=isa)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; no data folder has it either") from None


def _is_data(path: Path) -> bool:
    """Whether a path is a data folder, or an archive of images."""
    return path.is_dir() or (path.is_file() and tarfile.is_tarfile(path))


def _trivial(measured: Measured) -> float:
    """Return the accuracy in percent of always saying the most frequent class."""
    confusion = next(iter(measured.reports.values())).confusion
    return round(100 * float(confusion.sum(1).max() / confusion.sum()), 2)


def _mean(told: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return {depth: mean, spread, least and most} of the models' accuracies, in percent.

    The spread is the standard deviation of a sample. Only depths that all have.
    """
    out = {}
    for depth in told[0]["depths"]:
        if all(depth in t["depths"] for t in told):
            found = [t["depths"][depth]["accuracy"] for t in told]
            out[depth] = {
                "accuracy": round(statistics.mean(found), 2),
                "spread": round(statistics.stdev(found), 2),
                "least": min(found),
                "most": max(found),
            }
    return out


def _means(told: list[dict[str, Any]]) -> list[str]:
    if len(told) == 1:
        return []
    header = ["depth", "accuracy %", "spread", "least", "most"]
    rows = [[depth, *(f"{v:.2f}" for v in m.values())] for depth, m in _mean(told).items()]
    return [f"{len(told)} models", format_table(header, rows, "lrrrr")]


def _text(told: dict[str, Any]) -> str:
    depths = told["depths"]
    header = [
        "depth",
        "accuracy %",
        "keywords %",
        "unknown %",
        "silence %",
        "accepted %",
        "ms/clip",
    ]
    rows = []
    for name, d in depths.items():
        recall = d["recall"]
        cells = [
            d["accuracy"],
            d["keyword_recall"],
            recall.get("unknown"),
            recall.get("silence"),
            d.get("unknown_accepted_at_95_recall"),
        ]
        shown = ["-" if cell is None else f"{cell:.2f}" for cell in cells]
        rows.append([name, *shown, f"{d['milliseconds']:.3f}"])
    rows.append(["always one class", f"{told['trivial']:.2f}", *["-"] * 5])
    first = next(iter(depths.values()))
    words = [[n, f"{v:.1f}"] for n, v in first["recall"].items()]
    groups = [[n, str(g["clips"]), f"{g['right']:.1f}"] for n, g in first["groups"].items()]
    title = f"{told['model']}: task {told['task']}, {told['split']}, {told['clips']} clips"
    parts = [
        f"{title}, {told['isa']}",
        format_table(header, rows, "lrrrrrr"),
        "accepted: unknown sounds taken for a command where 95 % of the commands are right.",
        format_table(["class", "recall %"], words, "lr"),
        format_table(["sound", "clips", "right %"], groups, "lrr"),
    ]
    if told["broken"]:
        parts.append(
            f"left out {len(told['broken'])} broken clips: {', '.join(told['broken'][:5])}"
        )
    return "\n\n".join(parts)


def _plot(confusion: NDArray[Any], labels: tuple[str, ...], title: str, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shares = confusion / confusion.sum(1, keepdims=True).clip(min=1)
    figure, axes = pyplot.subplots(figsize=(7, 6))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="recognised", ylabel="spoken", title=title)
    for row, counts in enumerate(confusion):
        for column, count in enumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, size=7)
    figure.tight_layout()
    write_atomic(Path(path), lambda beside: figure.savefig(beside, dpi=120))
    pyplot.close(figure)
