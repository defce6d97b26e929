"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import bifast
from bifast.word import NOT_WORDS

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
    add_model_name(parser)
    add_isa(parser)


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """Add --model."""
    parser.add_argument(
        "--model",
        default=bifast.DEFAULT_MODEL,
        metavar="NAME|FILE",
        help="a shipped model or a .bifast file (default: %(default)s)",
    )


def add_isa(parser: argparse.ArgumentParser) -> None:
    """Add --isa."""
    parser.add_argument(
        "--isa", metavar="NAME", help="instruction set; see `bifast info` (default: the best)"
    )


def add_depth(parser: argparse.ArgumentParser, default: str | None = "full") -> None:
    """Add --depth; None tells that it was not given, which means the deepest."""
    parser.add_argument(
        "--depth",
        default=default,
        metavar="NAME",
        help="how many of the blocks run; `bifast inspect` lists a model's depths (default: full)",
    )


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add what decides when a word is heard: --words and its settings, --hop, --gate."""
    group = parser.add_argument_group("words")
    group.add_argument(
        "--words",
        metavar="W[=T],...",
        help="what to listen for, each with a threshold of its own if you like (default: the words that "
        "the model was tuned for, or every label but silence and unknown)",
    )
    add_settings(group)
    group.add_argument(
        "--gate",
        type=float,
        metavar="DB",
        help="let the net rest while nothing is louder than this, such as -50 (default: never)",
    )


def add_settings(group: argparse._ArgumentGroup) -> None:
    """Add when a word counts as heard, and --hop."""
    for name, what in (
        ("threshold", "probability from which a word is heard"),
        ("smoothing", "seconds over which it is averaged"),
        ("refractory", "seconds in which a word is not heard again"),
    ):
        group.add_argument(
            f"--{name}",
            type=float,
            metavar="P" if name == "threshold" else "S",
            help=f"{what} (default: the model's, or {getattr(bifast.Word(), name)})",
        )
    group.add_argument(
        "--hop",
        type=positive_seconds,
        default=0.25,
        metavar="S",
        help="seconds between windows (default: %(default)s)",
    )


def words(args: argparse.Namespace, model: bifast.Model) -> dict[str, bifast.Word]:
    """Return the settings of each word that --words and the rest ask for."""
    if getattr(args, "words", None) is None:
        names = [name for name in model.words or model.labels if name not in NOT_WORDS]
        return {name: word(args, model, name) for name in names}
    chosen = {}
    for item in args.words.split(","):
        name, _, threshold = item.strip().partition("=")
        try:
            usual = word(args, model, name)
            chosen[name] = usual._replace(threshold=float(threshold)) if threshold else usual
        except ValueError:
            raise ValueError(f"--words: {name}: expected a number, got {threshold!r}") from None
    return chosen


def word(args: argparse.Namespace, model: bifast.Model, name: str) -> bifast.Word:
    """Return the settings of one word: what was asked for, the model's, or the usual ones."""
    options = {field: getattr(args, field) for field in bifast.Word._fields}
    given = {field: value for field, value in options.items() if value is not None}
    return model.words.get(name, bifast.Word())._replace(**given)


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
        help="data: a folder of sounds for each word, an index.csv, or images (docs/images.md) "
        "(default: BIFAST_DATA)",
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


def load_audio_model(args: argparse.Namespace) -> bifast.Model:
    """Load the model of --model, refusing one that takes no audio."""
    model = bifast.Model.load(args.model, isa=args.isa)
    if not model.sample_rate:
        raise ValueError(f"{args.model} takes no audio: try bifast run IMAGE --model {args.model}")
    return model


def check_folder(path: Path) -> None:
    """Refuse a file whose folder is not there, before the work and not after it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder does not exist")


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
