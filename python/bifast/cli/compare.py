"""`bifast compare`: a series of training runs under one protocol, in one table (extra `train`)."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bifast.cli import options

if TYPE_CHECKING:
    from bifast.train.series import Series

_EPILOG = """\
examples:
  bifast compare --list                             the series
  bifast compare released-code --data DIR           run it, write the tables
  bifast compare mine.toml --seeds 1 2 3            a series of your own
  bifast compare mine.toml --rows teacher,student   only these rows
  bifast compare mine.toml --set optim.epochs=1     change every row

A series is a TOML file: seeds, and named rows, each a recipe with changes. Each row and seed is an
ordinary run folder, OUT/seedN/ROW. What is finished is not run again; what was stopped goes on.

exit codes: 0; 1 a run failed, the table says which; 2 series, data or settings cannot be used.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "compare", "train and compare named variants", _EPILOG)
    parser.add_argument("series", nargs="?", help="name of a series, or a TOML file")
    parser.add_argument("--list", action="store_true", help="list the series and stop")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of every recipe, e.g. optim.epochs=1; may be repeated",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="seeds (default: those of the series)"
    )
    parser.add_argument("--rows", metavar="A,B", help="run only these rows; the table has all")
    parser.add_argument("--data", metavar="DIR", help="data folder (default: BIFAST_DATA)")
    parser.add_argument("--out", metavar="DIR", help="folder of the series (default: runs/NAME)")
    parser.add_argument(
        "--cache", metavar="DIR", default=".cache/bifast", help="features (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, help="threads (default: all cores)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the series, or run one."""
    from bifast.train import extra

    extra.require()
    import torch

    from bifast.train.data import find_data
    from bifast.train.series import load_series, run_series, series_names
    from bifast.train.series.table import markdown
    from bifast.train.watch import BarWatcher

    if args.list or not args.series:
        for name in series_names():
            print(f"{name:20} {load_series(name).description}")
        return 0
    series = load_series(args.series)
    if args.seeds:
        series = dataclasses.replace(series, seeds=tuple(dict.fromkeys(args.seeds)))
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    out = Path(args.out or Path("runs") / series.name)
    table = run_series(
        series,
        find_data(args.data),
        out,
        Path(args.cache),
        settings=args.set,
        only=_chosen(series, args.rows),
        watch=BarWatcher,
    )
    print(markdown(table))
    print(f"tables and picture: {out}")
    return 1 if any(row.errors for row in table.rows) else 0


def _chosen(series: Series, text: str | None) -> list[str]:
    from bifast.train.registry import nearest

    known = [row.name for row in series.rows]
    chosen = known if text is None else [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in known:
            raise ValueError(f"--rows: unknown row {name!r}; {nearest(name, known)}")
    return chosen
