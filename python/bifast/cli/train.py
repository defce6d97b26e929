"""`bifast train`: make a model from a recipe (extra `train`)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bifast.cli import options
from bifast.cli.table import format_table

_EPILOG = """\
examples:
  bifast train --list                                   the recipes
  bifast train commands8-teacher --data DIR             teacher first
  bifast train commands8 --data DIR --set optim.epochs=5
  bifast train folder --data DIR                        words of your own: DIR/word/*.wav
  bifast train sc11 --set data.task=words35 --data DIR  Speech Commands as downloaded
  bifast train my-recipe.toml --out runs/mine           a recipe of your own

Several processes, or several GPUs, share each batch:
  torchrun --nproc-per-node 2 -m bifast train sc11 --data DIR

A run that was stopped goes on where it was when the same command is given again.

exit codes: 0; 1 the loss became NaN (its clips are in diverged.json); 2 recipe, data or checkpoint cannot be used.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "train", "train a model from a recipe", _EPILOG)
    parser.add_argument("recipe", nargs="?", help="name of a recipe, or a TOML file")
    parser.add_argument("--list", action="store_true", help="list the recipes and stop")
    options.add_training(parser, "run folder (default: runs/NAME)")
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the last checkpoint of the run folder (default)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List recipes or train."""
    from bifast.train import extra

    extra.require()
    import torch

    from bifast.train.data import find_data
    from bifast.train.loop import TrainingDivergedError, train
    from bifast.train.own import load_binarizer
    from bifast.train.place import find_place
    from bifast.train.recipe import load_recipe, recipe_names
    from bifast.train.watch import BarWatcher, Watcher

    for own in args.own:
        load_binarizer(own)
    if args.list or not args.recipe:
        recipes = [(name, load_recipe(name, []).description) for name in recipe_names()]
        print(format_table(("recipe", "what it trains"), recipes))
        return 0
    recipe = load_recipe(args.recipe, args.set)
    out = Path(args.out or Path("runs") / recipe.name)
    data = find_data(args.data)
    try:
        with (
            find_place(args.device) as place,
            (BarWatcher if place.first else Watcher)() as watcher,
        ):
            torch.set_num_threads(args.threads or max(1, (os.cpu_count() or 1) // place.world))
            result = train(
                recipe,
                data,
                out,
                Path(args.cache),
                resume=args.resume,
                watcher=watcher,
                place=place,
            )
    except TrainingDivergedError as error:
        print(f"bifast train: {error}", file=sys.stderr)
        return 1
    if not place.first:
        return 0
    print(f"accuracy on the test split: {_percent(result)}; run folder {out}")
    return 0


def _percent(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares.items())
