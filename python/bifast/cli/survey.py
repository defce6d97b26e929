"""`bifast survey`: variants of a net trained and measured under one protocol (extra `train`)."""

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
  bifast survey --list                              the series and the binarizers
  bifast survey survey-kws --data DIR               every binarizer under one protocol
  bifast survey survey-kws --only full,bnn,irnet    only these rows; the table has all
  bifast survey survey-kws --with mine.py:MyBinarizer --only mybinarizer
  bifast survey survey-kws --set optim.epochs=1 --seeds 7
  bifast survey mine.toml                           a series of your own

A series is a TOML file: seeds, and named rows, each a recipe with changes. Each row and seed is an
ordinary run folder, OUT/seedN/ROW. What is finished is not run again; what was stopped goes on. Several
processes with one --out share the runs. --stage train on a machine with a GPU, then --stage measure
where the engine is to be timed, does one thing in two places.

exit codes: 0; 1 a run failed, the table says which; 2 series, data or settings cannot be used.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "survey", "train and compare binarizers, or any variants of a net", _EPILOG
    )
    parser.add_argument("series", nargs="?", help="name of a series, or a TOML file")
    parser.add_argument("--list", action="store_true", help="list series and binarizers and stop")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="seeds (default: those of the series)"
    )
    parser.add_argument("--only", metavar="A,B", help="run only these rows; the table has all")
    parser.add_argument(
        "--stage",
        choices=("all", "train", "measure"),
        default="all",
        help="train measures nothing, measure trains nothing (default: all)",
    )
    options.add_training(parser, "folder of the series (default: runs/NAME)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the series, or run one."""
    from bifast.train import extra

    extra.require()
    import torch

    from bifast.train.data import find_data
    from bifast.train.own import load_binarizer
    from bifast.train.place import Place, find_device
    from bifast.train.series import load_series, run_series
    from bifast.train.series.plan import with_binarizer
    from bifast.train.series.table import markdown
    from bifast.train.watch import BarWatcher

    own = [load_binarizer(place) for place in args.own]
    if args.list or not args.series:
        _list()
        return 0
    series = load_series(args.series)
    for name in own:
        series = with_binarizer(series, name)
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
        only=_chosen(series, args.only),
        watch=BarWatcher,
        stage=args.stage,
        place=Place(find_device(args.device)),
    )
    print(markdown(table))
    print(f"tables and pictures: {out}")
    return 1 if any(row.errors for row in table.rows) else 0


def _list() -> None:
    from bifast.train.binarizers import BINARIZERS
    from bifast.train.series import load_series, series_names

    print("series:")
    for name in series_names():
        print(f"  {name:16} {load_series(name).description}")
    print("binarizers, what the engine needs:")
    for name in BINARIZERS:
        binarizer = BINARIZERS[name](1, 1)
        told = binarizer.needs()
        why = f": {binarizer.unsupported}" if binarizer.unsupported else ""
        print(f"  {name:16} {told}{why}")


def _chosen(series: Series, text: str | None) -> list[str]:
    from bifast.train.registry import nearest

    known = [row.name for row in series.rows]
    chosen = known if text is None else [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in known:
            raise ValueError(f"--only: unknown row {name!r}; {nearest(name, known)}")
    return chosen
