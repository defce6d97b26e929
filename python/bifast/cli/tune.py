"""`bifast tune`: thresholds of words and margins of the cascade, with what they reach."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bifast.atomic import write_atomic
from bifast.cli import options
from bifast.cli.progress import track
from bifast.cli.table import format_table
from bifast.errors import UnsupportedError

if TYPE_CHECKING:
    from bifast.tune.tuning import Tuned

_EPILOG = """\
A copy of the model gets, for each word, the least threshold that holds its false accepts to a rate, and, if it has
several depths, the margins of depth `auto`. `listen` and Model.listen use them.

Positives are a data folder: one folder of sounds a word, or an index.csv. Its validation clips are tuned on, its
testing clips reported on. Background is sound in which none of the words is spoken: folders, files, or data folders
with an index.csv (their kinds speech and noise; the split testing to report on). Without splits its minutes serve
tuning and reporting in turns. Nothing that is reported was tuned on.

Intervals hold 95 % (exact: Garwood's, Clopper and Pearson's). Nothing heard in 2 hours means fewer than 1.5 per hour.

examples:
  bifast tune bifsmn --positives recordings/
  bifast tune my.bifast --positives words/ --background radio.flac kitchen/ --rate 0.5 --out tuned.bifast
  bifast tune bifsmn --positives recordings/ --margins-only

What cannot be read is named as it is met, left out and counted.

exit codes: 0; 2 the command line, the model or the data are wrong.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "tune", "find thresholds for listening, with false accepts per hour", _EPILOG
    )
    parser.add_argument("model", metavar="NAME|FILE", help="a shipped model or a .bifast file")
    parser.add_argument("--positives", required=True, metavar="DIR", help="clips of the words")
    parser.add_argument(
        "--background",
        nargs="+",
        default=[],
        metavar="PATH",
        help="sound without the words (default: that of the positives' index.csv)",
    )
    parser.add_argument("--out", metavar="FILE", help="the tuned copy (default: NAME-tuned.bifast)")
    parser.add_argument(
        "--plot", metavar="PNG", help="the curves of misses and false accepts (default: FILE.png)"
    )
    for name, default, what in (
        ("rate", None, "false accepts per hour that each word may have (default: 1.0)"),
        ("hop", 0.25, "seconds between windows"),
        ("smoothing", None, "seconds of smoothing (default: the best of one to four windows)"),
        ("loss", 0.1, "percent of the words that depth auto may lose where it is tuned"),
        ("minutes", 20.0, "length of the fixed stream"),
    ):
        shown = what if default is None else f"{what} (default: {default})"
        parser.add_argument(f"--{name}", type=_number, default=default, metavar="N", help=shown)
    parser.add_argument(
        "--seed", type=options.positive_int, default=1, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--margins-only",
        action="store_true",
        help="leave thresholds and smoothing as they are and find the margins of depth auto for them",
    )
    options.add_isa(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def _number(text: str) -> float:
    """Parse a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def run(args: argparse.Namespace) -> int:
    """Tune, write and report."""
    from bifast.tune.material import find_material
    from bifast.tune.tuning import Options, tune

    model = options.load_audio_model(args)
    output = Path(args.out or f"{Path(args.model).stem}-tuned.bifast")
    options.check_folder(output)
    if args.plot is not None:
        options.check_folder(Path(args.plot))
    for name in ("rate", "smoothing"):
        if args.margins_only and getattr(args, name) is not None:
            raise ValueError(
                f"--{name}: expected none with --margins-only, which leaves words as they are"
            )
    background = [Path(path) for path in args.background]
    material = find_material(
        model.labels, Path(args.positives), background, model.sample_rate, _tell
    )
    asked = Options(
        hop=args.hop,
        rate=1.0 if args.rate is None else args.rate,
        smoothing=args.smoothing,
        loss=args.loss / 100,
        minutes=args.minutes,
        seed=args.seed,
        margins_only=args.margins_only,
    )
    tuned = tune(model, material, asked, _track)
    tuned.file.save(output)
    picture = _draw(tuned, f"{args.model}, {asked.rate:g} per hour and word", output, args.plot)
    told = {"model": str(args.model), "isa": model.isa, "output": str(output), "plot": picture}
    told |= tuned.report
    print(json.dumps(told) if args.json else _text(told, asked.rate, kept=asked.margins_only))
    return 0


def _tell(line: str) -> None:
    print(f"bifast tune: left out: {line}", file=sys.stderr)


def _track(items: Sequence[Any], label: str) -> Iterator[Any]:
    return track(items, label, quiet=False)


def _share(row: dict[str, Any]) -> list[str]:
    low, high = row["recall_interval"]
    least, most = row["accepts_per_hour_interval"]
    hour = f"{row['accepts_per_hour']:.1f}"
    return [
        f"{100 * row['recall']:.1f}",
        f"{100 * low:.1f} - {100 * high:.1f}",
        str(row["accepts"]),
        hour if row["accepts"] else "",
        f"{least:.1f} - {most:.1f}" if row["accepts"] else f"< {most:.1f}",
    ]


def _text(told: dict[str, Any], rate: float, *, kept: bool) -> str:
    hours, clips = told["hours"], told["clips"]
    header = ["recall %", "95 %", "heard wrongly", "per hour", "95 %"]
    words = [
        [w["word"], "none" if w["threshold"] is None else f"{w['threshold']:.3f}", *_share(w)]
        for w in told["words"]
    ]
    parts = [
        (
            f"{told['model']}: tuned on {clips['tuning']} clips and {hours['tuning']:.2f} h of background, reported "
            f"on {clips['report']} other clips and {hours['report']:.2f} h"
        ),
        (
            f"windows every {told['hop']:.3f} s, smoothed over {told['smoothing']:.3f} s; "
            + (
                "the model's own thresholds:"
                if kept
                else f"thresholds for {rate:g} false accepts per hour and word:"
            )
        ),
        format_table(["word", "threshold", *header], words, "lrrrrrr"),
        "all words, each held to so many per hour when tuned:",
        format_table(
            ["per hour", *header],
            [[f"{r['rate']:g}", *_share(r)] for r in told["rates"]],
            "rrrrrr",
        ),
    ]
    if "cascade" in told:
        parts += _cascade_text(told["cascade"], header)
    elif len(told["depths"]) > 1:
        parts.append("depth auto: no cascade of the depths loses so little; there are no margins")
    parts.append(_stream_text(told["stream"]))
    if not kept and rate * hours["tuning"] < 1:
        parts.append(
            f"note: {hours['tuning']:.2f} h of background are too few for {rate:g} per hour: thresholds are "
            "those at which nothing was heard"
        )
    if told["broken"]:
        shown = "; ".join(told["broken"][:5]) + ("; ..." if len(told["broken"]) > 5 else "")
        parts.append(f"left out {len(told['broken'])} that could not be read: {shown}")
    parts.append(f"wrote {told['output']}" + (f" and {told['plot']}" if told["plot"] else ""))
    return "\n\n".join(parts)


def _cascade_text(cascade: dict[str, Any], header: list[str]) -> list[str]:
    rows = [[name, *_share(cascade[name])] for name in ("full", "auto")]
    shares = ", ".join(f"{name} {100 * s:.1f} %" for name, s in cascade["depths"].items() if s)
    return [
        "depth auto, against the deepest:",
        format_table(["depth", *header], rows, "lrrrrr"),
        f"windows of background scored at {shares}; {100 * cascade['work']:.0f} % of the products of full depth",
    ]


def _stream_text(stream: dict[str, Any]) -> str:
    header = ["depth", "true positives", "false negatives", "false positives", "% of a core"]
    rows = [
        [
            depth,
            str(o["true_positives"]),
            str(o["false_negatives"]),
            str(o["false_positives"]),
            f"{100 * o['duty']:.3f}",
        ]
        for depth, o in stream.items()
        if isinstance(o, dict)
    ]
    title = f"a stream of {stream['seconds'] / 60:.1f} minutes with {stream['words']} words:"
    return f"{title}\n\n{format_table(header, rows, 'lrrrr')}"


def _draw(tuned: Tuned, title: str, output: Path, path: str | None) -> str | None:
    """Draw the curves; None where matplotlib is missing and no picture was asked for."""
    try:
        import matplotlib
    except ImportError:
        if path is None:
            return None
        raise UnsupportedError(
            "--plot needs matplotlib: install it with pip install 'bifast[train]'"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = tuned.curves["full"]
    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for column, row in enumerate(tuned.report["words"]):
        accepts = found.accepts[:, column] / found.hours
        (line,) = axes.plot(accepts, 100 * (1 - found.recalls(column)), label=row["word"])
        misses = 100 * (1 - row["recall"])
        axes.plot(row["accepts_per_hour"], misses, "o", color=line.get_color())
    for name, style in (("full", "-"), ("auto", "--")):
        if name in tuned.curves:
            mean = tuned.curves[name].accepts.mean(axis=1) / found.hours
            misses = 100 * (1 - tuned.curves[name].recalls())
            axes.plot(mean, misses, style, color="black", linewidth=2, label=f"all words, {name}")
    # To the left of one event there is nothing to be known.
    axes.set_xscale("symlog", linthresh=1 / found.hours)
    axes.set(
        xlabel=f"false accepts per hour and word, in {found.hours:.2f} h",
        ylabel="words missed, %",
        title=title,
        xlim=(0, None),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    picture = Path(path) if path is not None else output.with_suffix(".png")
    write_atomic(picture, lambda beside: figure.savefig(beside, dpi=120, format="png"))
    pyplot.close(figure)
    return str(picture)
