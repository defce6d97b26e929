"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any

import bifast

# What add_subparsers returns; argparse keeps the type to itself.
Subparsers = Any


def add_command(
    commands: Subparsers, name: str, summary: str, epilog: str
) -> argparse.ArgumentParser:
    """Add a subcommand whose help ends with examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model and --isa."""
    parser.add_argument(
        "--model",
        default=bifast.DEFAULT_MODEL,
        metavar="NAME|FILE",
        help="a shipped model or a .bifast file (default: %(default)s)",
    )
    parser.add_argument(
        "--isa", metavar="NAME", help="instruction set; see `bifast info` (default: the best)"
    )


def add_depth(parser: argparse.ArgumentParser) -> None:
    """Add --depth."""
    parser.add_argument(
        "--depth",
        default="full",
        metavar="NAME",
        help="how many of the blocks run; `bifast inspect` lists a model's depths "
        "(default: %(default)s)",
    )


def add_training(parser: argparse.ArgumentParser, out: str) -> None:
    """Add what every command that trains takes; `out` says what --out is."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe, e.g. optim.epochs=3; may be repeated",
    )
    add_own(parser)
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="data folder: one folder of sounds a word, or an index.csv (default: BIFAST_DATA)",
    )
    parser.add_argument("--out", metavar="DIR", help=out)
    parser.add_argument(
        "--cache", metavar="DIR", default=".cache/bifast", help="features (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads (default: all cores, shared between the processes of torchrun)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: auto, CUDA where there is one)",
    )


def add_own(parser: argparse.ArgumentParser) -> None:
    """Add --with."""
    parser.add_argument(
        "--with",
        dest="own",
        action="append",
        default=[],
        metavar="FILE.py:CLASS",
        help="take in a binarizer of your own, known by its registered name or its class's name in "
        "lower case; may be repeated",
    )


def positive_int(text: str) -> int:
    """Parse an integer that is at least 1."""
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return value


def positive_seconds(text: str) -> float:
    """Parse a duration above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return value
