"""Count instructions of bifast and of onnxruntime on AArch64 under qemu; write docs/measured/arm64.json.

    make bench-arm64

There is no ARM hardware here, so nothing is timed: the figures are instructions that the guest's main
thread executed (tools/qemu_count.c) for one call from Python, and cycles that llvm-mca computes for the
loops of the 1-bit product (mca.py). Both are the same on every machine, given the compilers and wheels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import conftest
import mca
import numpy as np
from arm64_guest import FEW, MANY
from machine import commit, output_line
from quantise import folded_and_int8
from rows import SPOTTERS
from test_clip import clip_of, features_of
from test_product import SHAPES, case, model_of

import bifast
from bifast import one_layer
from bifast.float_twin import FloatTwin, float_twin
from bifast.format import Op
from bifast.onnx_graph import to_onnx

TIMES = 8


def prepare(folder: Path, name: str) -> list[dict[str, Any]]:
    """Write what the guest needs for a shipped model; returns the rows to count."""
    file = conftest.shipped_file(name)
    assert file.frontend is not None
    np.save(folder / "features.npy", features_of(name))
    np.save(folder / "clip.npy", clip_of(name))
    (folder / "model.bifast").write_bytes(conftest.shipped_model(name))
    (folder / "frontend.json").write_text(json.dumps(asdict(file.frontend)))
    rows: list[dict[str, Any]] = []

    def add(row: str, kind: str, file_name: str, **facts: Any) -> None:
        rows.append({"row": row, "kind": kind, "file": file_name, **facts})

    for index, depth in enumerate(file.depths):
        add(f"net {depth}", "net", "model.bifast", depth=depth)
        add(f"clip {depth}", "clip", "model.bifast", depth=depth)
        graph = to_onnx(float_twin(file), index, batch=1)
        graphs = {"FP32": graph, "int8": folded_and_int8(graph, conftest.calibration(name))[1]}
        for kind, data in graphs.items():
            (folder / f"{depth}-{kind}.onnx").write_bytes(data)
            add(f"onnxruntime {kind} {depth}", "onnxruntime", f"{depth}-{kind}.onnx",
                classes=len(file.labels))  # fmt: skip
    add("front-end", "front-end", "model.bifast")
    add("NumPy log-mel", "numpy", "frontend.json")
    return rows


def prepare_layers(folder: Path, name: str) -> list[dict[str, Any]]:
    """Write models of one layer, once and several times; returns the rows to count."""
    rows = []
    random = np.random.default_rng(0)
    models = {}
    for layer in one_layer.distinct_layers(conftest.shipped_file(name)):
        title = f"{layer.op.name}: {layer.title}"
        models[title] = (layer.input.shape, partial(one_layer.repeated, layer))
    for shape in SHAPES:
        given = case(*shape)
        models["product {} x {} x {}".format(*shape)] = (
            (shape[0], 1, shape[2]), partial(model_of, given),
        )  # fmt: skip
    for number, (title, (shape, make)) in enumerate(models.items()):
        for times in (1, 1 + TIMES):
            path = folder / f"layer{number}-{times}.bifast"
            path.write_bytes(make(times))
            features = random.normal(size=(1, *shape)).astype(np.float32)
            np.save(path.with_suffix(".npy"), features)
            rows.append({"row": f"{title} @{times}", "kind": "layer", "file": path.name})
    return rows


def prepare_float_layers(folder: Path, name: str) -> list[dict[str, Any]]:
    """Write the float twin of each kind of layer for onnxruntime, and what a graph costs without it.

    A layer's residual is left out, so that one input is enough: a little less work for onnxruntime.
    """
    file = conftest.shipped_file(name)
    twin = float_twin(file)
    rows = []
    for number, layer in enumerate(one_layer.distinct_layers(file)):
        place = next(i for i, op in enumerate(file.ops) if op is layer.op)
        given, made = (replace(b, type="f32") for b in (layer.input, layer.output))
        op = replace(
            twin.ops[place], depth_mask=1, input=0, residual=None, out_f32=1, out_bits=None
        )
        copy = Op("copy", "elementwise", 1, 0, out_f32=1)
        for kind, buffers, one in (("with", [given, made], op), ("without", [given, given], copy)):
            path = folder / f"float{number}-{kind}.onnx"
            path.write_bytes(to_onnx(FloatTwin(buffers, twin.tensors, [one]), 0, batch=1))
            np.save(path.with_suffix(".npy"), np.ones(given.shape, np.float32))
            classes = int(np.prod(buffers[1].shape))
            rows.append({"row": f"{layer.op.name}: {layer.title} {kind}", "kind": "float layer",
                         "file": path.name, "classes": classes})  # fmt: skip
    return rows


def run_guest(rows: list[dict[str, Any]], folder: Path, build: Path, name: str) -> Path:
    """Run all rows under qemu with a plugin of ours; returns the file that it wrote."""
    plugin, log = folder / f"{name}.so", folder / f"{name}.txt"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, f"tools/{name}.c"], check=True)
    (folder / "work.json").write_text(json.dumps(rows))
    places = [build / "package", build / "peers", Path("bench").resolve()]
    traced = name == "qemu_trace"
    environment = {
        **os.environ, "ARM64_PYTHONPATH": ":".join(map(str, places)), "PYTHONHASHSEED": "0",
        "QEMU_PLUGIN": f"{plugin},out={log}" if traced else str(plugin), "QEMU_LOG": "plugin",
        "QEMU_LOG_FILENAME": os.devnull if traced else str(log),
    }  # fmt: skip
    guest = [build / "python" / "python", "bench/arm64_guest.py", folder]
    subprocess.run(guest, check=True, env=environment)
    return log


def count(rows: list[dict[str, Any]], folder: Path, build: Path) -> dict[str, int]:
    """Return instructions of one call for each row."""
    log = run_guest(rows, folder, build, "qemu_count")
    marks = [int(n) for n in re.findall(r"mark: (\d+)", log.read_text())]
    if len(marks) != 3 * len(rows):
        raise SystemExit(f"expected {3 * len(rows)} marks from the guest, found {len(marks)}")
    found = {}
    for row, (start, few, many) in zip(rows, zip(*[iter(marks)] * 3, strict=True), strict=True):
        found[row["row"]] = ((many - few) - (few - start)) // (MANY - FEW)
    return found


def cycles_of_products(build: Path) -> dict[str, dict[str, float]]:
    """Return instructions and llvm-mca's cycles for each block of 128 x 128 bits of the products."""
    found: dict[str, dict[str, float]] = {}
    if mca.program() is None:
        return found
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [r for r in prepare_layers(folder, bifast.DEFAULT_MODEL) if "product" in r["row"]]
        log = run_guest(rows, folder, build, "qemu_trace")
        start, end = (int(n, 16) for n in (folder / "engine.txt").read_text().split("-"))
        codes = mca.read_trace(log, range(start, end))
    for shape, one, more in zip(SHAPES, codes[::2], codes[1::2], strict=True):
        m, n, k = shape
        blocks = FEW * TIMES * m * n * k / 128
        texts = [mca.assembly(code) for code in (one, more)]
        facts = {"instructions": (len(more) - len(one)) / blocks}
        for cpu in mca.CPUS:
            few, many = (mca.cycles(text, cpu) for text in texts)
            facts[cpu] = (many - few) / blocks
        found["product {} x {} x {}".format(*shape)] = {k: round(v, 3) for k, v in facts.items()}
    return found


def layers_of(counts: dict[str, int]) -> dict[str, int]:
    """Return instructions of one layer from those of models with one and with several."""
    titles = dict.fromkeys(row.rpartition(" @")[0] for row in counts)
    return {t: (counts[f"{t} @{1 + TIMES}"] - counts[f"{t} @1"]) // TIMES for t in titles}


def float_layers_of(counts: dict[str, int]) -> dict[str, int]:
    """Return instructions of one layer from those of graphs with it and without."""
    titles = [row.removesuffix(" with") for row in counts if row.endswith(" with")]
    return {t: counts[f"{t} with"] - counts[f"{t} without"] for t in titles}


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of tools/arm64_package.sh")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/arm64.json"))
    args = parser.parse_args()
    build = args.build.resolve()
    models = {}
    for name in SPOTTERS:
        with tempfile.TemporaryDirectory() as folder:
            models[name] = count(prepare(Path(folder), name), Path(folder), build)
    with tempfile.TemporaryDirectory() as folder:
        rows = prepare_layers(Path(folder), bifast.DEFAULT_MODEL)
        layers = layers_of(count(rows, Path(folder), build))
        rows = prepare_float_layers(Path(folder), bifast.DEFAULT_MODEL)
        float_layers = float_layers_of(count(rows, Path(folder), build))
    wheels = build.glob("peers/onnxruntime-*.dist-info")
    result = {
        "commit": commit(),
        "compiler": output_line("aarch64-linux-gnu-g++", "--version"),
        "qemu": output_line("qemu-aarch64", "--version"),
        "onnxruntime": next(wheels).name.split("-")[1].removesuffix(".dist"),
        "instructions": models,
        "layers": layers,
        "onnxruntime FP32 layers": float_layers,
        "mca": {
            "program": output_line(mca.program() or "llvm-mca", "--version"),
            "blocks": cycles_of_products(build),
        },
    }
    beside = args.out.with_suffix(".tmp")
    beside.write_text(json.dumps(result, indent=1) + "\n")
    beside.replace(args.out)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
