"""`bifast export`: write a trained net as a model file (extra `train`), or as ONNX (extra `onnx`)."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import bifast
from bifast import inputs
from bifast.atomic import write_atomic
from bifast.cli import options
from bifast.cli.inspect import layer_table
from bifast.errors import UnsupportedError
from bifast.format import ModelFile

_EPILOG = """\
examples:
  bifast export runs/commands8 --out kws.bifast
  bifast export runs/commands8 --out kws.bifast --data DIR   measure, and write it on the card
  bifast export runs/kws --ends int8 --out kws.bifast --data DIR   real ends become bytes
  bifast export runs/sc11-full --onnx twin.onnx              a net in full precision
  bifast export kws.bifast --onnx kws.onnx --depth half      the 1-bit net in standard operators

The ONNX graph of a 1-bit net recognises what the engine does: bits are +-1 in float32, sums of them exact,
every rounding as in the engine; only the float sums of the first and last layer have another order. Its
input is `features` [clips, time, mel], as `Model.features` gives them, its output `logits`.

exit codes: 0; 2 the checkpoint cannot be used, or the engine cannot run the net exactly.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "export", "write a trained net as a model file or as ONNX", _EPILOG
    )
    parser.add_argument(
        "source", metavar="RUN", help="run folder or checkpoint; for --onnx also a model"
    )
    parser.add_argument("--out", metavar="FILE", help="the .bifast file to write")
    parser.add_argument("--name", help="name on the card (default: name of the recipe)")
    parser.add_argument(
        "--data", metavar="DIR", help="measure the accuracy by the engine for the card"
    )
    parser.add_argument(
        "--ends",
        choices=["int8"],
        default="",
        help="turn real first and last layers into bytes, with ranges from training clips of --data",
    )
    parser.add_argument("--onnx", metavar="FILE", help="the ONNX file to write")
    parser.add_argument("--depth", help="depth of the ONNX graph (default: the deepest)")
    options.add_own(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write what was asked for."""
    if not (args.out or args.onnx):
        raise ValueError("give --out FILE.bifast, --onnx FILE.onnx, or both")
    if args.onnx:
        _require_onnx()
    if args.source in bifast.models() or args.source.endswith(".bifast"):
        if args.out:
            raise ValueError(f"{args.source} is a model file already; --onnx is for it, not --out")
        _model_to_onnx(args)
        return 0
    from bifast.train import extra

    extra.require()
    from bifast.train.own import load_binarizer

    for own in args.own:
        load_binarizer(own)
    if args.out:
        _write_model(args)
    if args.onnx:
        _net_to_onnx(args)
    return 0


def _write_model(args: argparse.Namespace) -> None:
    """Export, check against PyTorch, measure, write."""
    from bifast.train.export.command import export_checkpoint
    from bifast.train.watch import BarWatcher

    out = Path(args.out)
    with BarWatcher() as watcher:
        file, twin = export_checkpoint(
            Path(args.source), name=args.name, data=args.data, watcher=watcher, ends=args.ends
        )
    file.save(out)
    size = out.stat().st_size
    print(layer_table(file))
    print(f"\n{out}: {size} bytes, {twin / size:.1f} times smaller than in 32-bit floats")
    for depth, percent in file.card["accuracy"].items():
        print(f"accuracy {depth}: {percent:.2f} %")


def _net_to_onnx(args: argparse.Namespace) -> None:
    from bifast.train.build import load_net
    from bifast.train.export.onnx import export_onnx

    net, _, state = load_net(Path(args.source))
    depth = _depth(args.depth, net.depths)
    how = export_onnx(net, Path(args.onnx), depth=depth)
    _tell(args.onnx, net.depths[depth], how, tuple(state["labels"]))


def _model_to_onnx(args: argparse.Namespace) -> None:
    from bifast.onnx_graph import to_onnx

    model = bifast.Model.load(args.source)
    depth = _depth(args.depth, model.depths)
    graph = to_onnx(ModelFile.from_bytes(model.to_bytes()), depth)
    write_atomic(Path(args.onnx), lambda beside: beside.write_bytes(graph))
    _tell(args.onnx, model.depths[depth], "from its operations", model.labels)


def _depth(name: str | None, depths: tuple[str, ...]) -> int:
    return 0 if name is None else inputs.depth_index(name, depths)


def _tell(path: str, depth: str, how: str, labels: tuple[str, ...]) -> None:
    print(f"{path}: depth {depth}, {how}; {Path(path).stat().st_size} bytes")
    print(f"logits in this order: {', '.join(labels)}")


def _require_onnx() -> None:
    missing = [n for n in ("onnx", "onnxruntime") if importlib.util.find_spec(n) is None]
    if missing:
        raise UnsupportedError(
            f"ONNX needs {', '.join(missing)}: install it with pip install 'bifast[onnx]'"
        )
