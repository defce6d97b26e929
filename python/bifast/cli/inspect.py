"""`bifast inspect`: what is in a model file."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import bifast
from bifast.cli import options
from bifast.cli.table import format_table
from bifast.format import ModelFile, Op, Tensor

_EPILOG = """\
Each line is a layer: its output (time x mel band x channels), its weights, how many different values the
weights of one output channel take at most (2 is truly 1-bit), their bytes, its output stage (bits2: two
planes of bits), and the depths that run it. A layer with other tables at other depths has a line for each;
its weights are shared.

examples:
  bifast inspect bifsmn
  bifast inspect my.bifast --json

exit codes: 0; 2 the file is missing or no valid model.
"""
_WEIGHTS_PER_ROW = (
    "binary_conv2d",
)  # [c_out, k]; the other kinds have an output channel per column


@dataclass(frozen=True)
class Layer:
    """One layer as shown.

    `values` is the most different weight values in one output channel; `shares_weights` says that an
    earlier layer, run at other depths, has the same weights.
    """

    name: str
    kind: str
    output: tuple[int, int, int]
    weights: tuple[int, int] | None
    dtype: str | None
    values: int | None
    shares_weights: bool
    weight_bytes: int
    table_bytes: int
    stage: str
    depths: tuple[str, ...]

    @property
    def is_one_bit(self) -> bool:
        """Whether the weights are bits, and take at most two values in each output channel."""
        return self.dtype == "bits" and self.values is not None and self.values <= 2


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "inspect", "show what is in a model", _EPILOG)
    parser.add_argument("model", metavar="NAME|FILE", help="a shipped model or a .bifast file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the layers, the totals and the card."""
    model = bifast.Model.load(args.model)
    file = ModelFile.from_bytes(model.to_bytes())
    layers = describe_layers(file)
    totals = summarise(file, model)
    if args.json:
        report = {
            "totals": totals,
            "layers": [asdict(layer) for layer in layers],
            "card": file.card,
        }
        print(json.dumps(report))
        return 0
    print(layer_table(file))
    print()
    for line in _total_lines(file, layers, totals):
        print(line)
    print("\ncard:")
    print(json.dumps(file.card, indent=2, ensure_ascii=False))
    return 0


def describe_layers(file: ModelFile) -> list[Layer]:
    """Collect what is shown of every layer."""
    return [describe_layer(file, index) for index in range(len(file.ops))]


def describe_layer(file: ModelFile, index: int) -> Layer:
    """Collect what is shown of one layer; the values of its weights are counted, not assumed."""
    op = file.ops[index]
    weights = None if op.weights is None else file.tensors[op.weights]
    output = op.out_f32 if op.out_f32 is not None else op.out_bits
    assert output is not None  # the reader refuses a layer without an output
    tables = [i for i in (op.scale, op.shift, op.slope, op.threshold, op.flip) if i is not None]
    return Layer(
        name=op.name,
        kind=op.code,
        output=file.buffers[output].shape,
        weights=None if weights is None else (weights.rows, weights.cols),
        dtype=None if weights is None else weights.dtype,
        values=None if weights is None else _values_per_channel(op.code, weights),
        shares_weights=weights is not None
        and any(op.weights == earlier.weights for earlier in file.ops[:index]),
        weight_bytes=0 if weights is None else tensor_bytes(weights),
        table_bytes=sum(tensor_bytes(file.tensors[i]) for i in tables),
        stage=_stage(file, op),
        depths=tuple(name for bit, name in enumerate(file.depths) if op.depth_mask >> bit & 1),
    )


def tensor_bytes(tensor: Tensor) -> int:
    """Return the size of a tensor in the file (docs/format.md, TENS)."""
    if tensor.dtype == "bits":
        return tensor.rows * 8 * -(-tensor.cols // 64)
    return int(tensor.array.nbytes)


def summarise(file: ModelFile, model: bifast.Model) -> dict[str, Any]:
    """Count weights and bytes; a tensor that layers share counts once."""
    used = {op.weights for op in file.ops if op.weights is not None}
    weights = [file.tensors[index] for index in used]
    size, twin = len(model.to_bytes()), file.card.get("float_bytes")
    return {
        "file_bytes": size,
        "float_bytes": twin,
        "times_smaller": round(twin / size, 2) if isinstance(twin, int | float) else None,
        "one_bit_weights": sum(t.array.size for t in weights if t.dtype == "bits"),
        "float_weights": sum(t.array.size for t in weights if t.dtype != "bits"),
        "tensor_bytes": sum(map(tensor_bytes, file.tensors)),
        "scratch_bytes": model.scratch_bytes,
        "labels": list(file.labels),
        "depths": list(file.depths),
        "input": list(model.input_shape),
        "frontend": None if file.frontend is None else asdict(file.frontend),
    }


def _values_per_channel(kind: str, weights: Tensor) -> int:
    """Return the most different values that the weights of one output channel take."""
    channels = weights.array if kind in _WEIGHTS_PER_ROW else weights.array.T
    ordered = np.sort(channels, axis=1)
    return int((ordered[:, 1:] != ordered[:, :-1]).sum(axis=1).max(initial=0)) + 1


def _stage(file: ModelFile, op: Op) -> str:
    """Describe the output stage."""
    if op.flip is not None:
        return "threshold -> bits"
    parts = [
        name
        for name, index in (
            ("scale", op.scale),
            ("prelu", op.slope),
            ("residual", op.residual),
            ("sign thresholds", op.threshold),
        )
        if index is not None
    ]
    outputs = [file.buffers[index].type for index in (op.out_f32, op.out_bits) if index is not None]
    return f"{', '.join(parts) or 'as it is'} -> {', '.join(outputs)}"


def layer_table(file: ModelFile) -> str:
    """Lay out the layers of a model: name, shapes, type and size of the weights, whether 1-bit."""
    header = ("layer", "kind", "output", "weights", "type", "values", "1-bit", "bytes", "tables",
              "stage", "depths")  # fmt: skip
    rows = [
        (
            layer.name,
            layer.kind,
            "x".join(map(str, layer.output)),
            "x".join(map(str, layer.weights or ())),
            layer.dtype or "",
            "" if layer.values is None else str(layer.values),
            "" if layer.dtype is None else ("yes" if layer.is_one_bit else "no"),
            "shared" if layer.shares_weights else f"{layer.weight_bytes:,}",
            f"{layer.table_bytes:,}",
            layer.stage,
            "all" if layer.depths == file.depths else ",".join(layer.depths),
        )
        for layer in describe_layers(file)
    ]
    return format_table(header, rows, "llrrlrlrrll")


def _total_lines(file: ModelFile, layers: list[Layer], totals: dict[str, Any]) -> list[str]:
    """Return the totals as lines of text."""
    weighted = [layer for layer in layers if layer.dtype is not None and not layer.shares_weights]
    one_bit = sum(layer.is_one_bit for layer in weighted)
    bits, floats = totals["one_bit_weights"], totals["float_weights"]
    share = 100 * bits / max(1, bits + floats)
    lines = [
        f"1-bit layers   {one_bit} of {len(weighted)} with weights (at most 2 values per channel)",
        f"1-bit weights  {bits:,} of {bits + floats:,} ({share:.1f} %)",
        f"file           {totals['file_bytes']:,} bytes, {totals['tensor_bytes']:,} of them tensors",
        f"scratch        {totals['scratch_bytes']:,} bytes for each running call",
        f"labels         {', '.join(file.labels)}",
        f"depths         {', '.join(file.depths)}",
        f"input          {'x'.join(map(str, totals['input']))} (time x mel band x channels)",
    ]
    if totals["times_smaller"] is not None:
        twin = (
            f"{totals['float_bytes']:,} bytes; this file is {totals['times_smaller']:.1f} x smaller"
        )
        lines.insert(3, f"FP32 twin      {twin}")
    if file.frontend is not None:
        f = file.frontend
        lines.append(
            f"front-end      {f.sample_rate} Hz, window {f.window_samples} samples, n_fft {f.n_fft}, "
            f"hop {f.hop}, {f.n_mels} mel bands {f.f_min:g}-{f.f_max:g} Hz, "
            f"{'centred' if f.center else 'causal'}"
        )
    return lines
