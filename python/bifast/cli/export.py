"""`bifast export`: write a trained net as a `.bifast` file (extra `train`)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bifast.cli import options
from bifast.cli.table import format_table

if TYPE_CHECKING:
    from bifast.format import ModelFile

_EPILOG = """\
examples:
  bifast export runs/commands8 --out kws.bifast
  bifast export runs/commands8 --out kws.bifast --data DIR   measure, and write it on the card

exit codes: 0; 2 the checkpoint cannot be used, or the engine cannot run the net exactly.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "export", "write a trained net as a model file", _EPILOG)
    parser.add_argument("checkpoint", metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--out", required=True, metavar="FILE", help="the .bifast file to write")
    parser.add_argument("--name", help="name on the card (default: name of the recipe)")
    parser.add_argument(
        "--data", metavar="DIR", help="measure the accuracy by the engine for the card"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, check against PyTorch, measure, write."""
    from bifast.train import extra

    extra.require()
    from bifast.train.export.command import export_checkpoint
    from bifast.train.watch import BarWatcher

    out = Path(args.out)
    with BarWatcher() as watcher:
        file, twin = export_checkpoint(
            Path(args.checkpoint), name=args.name, data=args.data, watcher=watcher
        )
    file.save(out)
    size = out.stat().st_size
    print(_layers(file))
    print(f"\n{out}: {size} bytes, {twin / size:.1f} times smaller than in 32-bit floats")
    for depth, percent in file.card["accuracy"].items():
        print(f"accuracy {depth}: {percent:.2f} %")
    return 0


def _layers(file: ModelFile) -> str:
    rows = []
    for op in file.ops:
        depths = [name for d, name in enumerate(file.depths) if op.depth_mask >> d & 1]
        weights = file.tensors[op.weights] if op.weights is not None else None
        shape = "" if weights is None else f"{weights.rows} x {weights.cols} {weights.dtype}"
        output = op.out_f32 if op.out_f32 is not None else op.out_bits
        out_shape = " x ".join(str(n) for n in file.buffers[output or 0].shape)
        stage = "threshold" if op.flip is not None else "affine"
        rows.append([op.name, op.code, shape, out_shape, stage, " ".join(depths)])
    return format_table(["layer", "operation", "weights", "output", "stage", "depths"], rows)
