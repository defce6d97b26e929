"""Count instructions of ResNet-18 on AArch64 under qemu; writes docs/measured/resnet18-arm64.json.

    make bench-resnet18-arm64

bench/resnet18.py puts the counts on its page. Minutes: an emulator computes the floats of the peer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import resnet18_nets as nets
from arm64 import count
from machine import output_line

from bifast import atomic, one_layer
from bifast.format import ModelFile

MORE = 2  # layers of which the difference of two models is taken


def prepare(folder: Path) -> list[dict[str, Any]]:
    """Write nets and layers with their inputs; return what the guest is to call."""
    file = nets.binary_resnet18()
    rng = np.random.default_rng(0)
    rows = []

    def add(row: str, kind: str, data: bytes, image: Any) -> None:
        name = f"{len(rows)}"
        (folder / name).write_bytes(data)
        np.save(folder / f"{name}.npy", image)
        rows.append({"row": row, "kind": kind, "file": name, "image": f"{name}.npy"})

    size = nets.SIZE
    add("net", "image", file.to_bytes(), rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8))
    floats = rng.normal(size=(1, 3, size, size)).astype(np.float32)
    add("peer net", "graph", nets.float_resnet18(), floats)
    for conv, _ in nets.kinds():
        layer = layer_of(file, conv)
        image = rng.normal(size=(1, conv.size, conv.size, conv.c_in)).astype(np.float32)
        for times in (1, 1 + MORE):
            add(f"{conv.title} @{times}", "image", one_layer.repeated(layer, times), image)
        planes = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        for times, graph in enumerate(nets.float_pair(conv)):
            add(f"peer {conv.title} @{times}", "graph", graph, planes)
    return rows


def layer_of(file: ModelFile, conv: nets.Conv) -> one_layer.Layer:
    """Find a convolution's operation."""
    return one_layer.Layer(file, next(op for op in file.ops if op.name == conv.name))


def result_rows(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return one row for the net and one for each kind of layer."""
    rows = [{"what": "whole net", "bifast": counts["net"], "onnxruntime": counts["peer net"]}]
    for conv, number in nets.kinds():
        ours = (counts[f"{conv.title} @{1 + MORE}"] - counts[f"{conv.title} @1"]) // MORE
        peer = counts[f"peer {conv.title} @1"] - counts[f"peer {conv.title} @0"]
        what = f"3x3, {conv.title}"
        rows.append({"what": what, "bifast": ours, "onnxruntime": peer, "of them": number})
    return rows


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of tools/arm64_package.sh")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/resnet18-arm64.json"))
    args = parser.parse_args()
    build = args.build.resolve()
    with tempfile.TemporaryDirectory() as name:
        counts = count(prepare(Path(name)), Path(name), build)
    wheels = build.glob("peers/onnxruntime-*.dist-info")
    result = {
        "commit": output_line("git", "describe", "--always", "--dirty"),
        "compiler": output_line("aarch64-linux-gnu-g++", "--version"),
        "qemu": output_line("qemu-aarch64", "--version"),
        "onnxruntime": next(wheels).name.split("-")[1].removesuffix(".dist"),
        "rows": result_rows(counts),
    }
    text = json.dumps(result, indent=1) + "\n"
    atomic.write_atomic(args.out, lambda beside: beside.write_text(text))
    print(text)


if __name__ == "__main__":
    main()
