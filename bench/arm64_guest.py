"""Runs under qemu: what arm64.py wants counted, a mark of qemu_count.c before and after.

    python arm64_guest.py FOLDER

FOLDER holds work.json, a list of {"row", "kind", "file", ...}, and what that names. Row after row is called
FEW times and MANY times between marks, so that arm64.py can take the difference. FOLDER/engine.txt comes to
say where in memory the engine is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import bifast
from bifast import _core

FEW, MANY = 2, 6


def call_of(work: dict[str, Any], folder: Path) -> Callable[[], Any]:
    """Return the call that a row counts."""
    file = folder / work["file"]
    if work["kind"] == "layer":
        layers = _core.Model(file.read_bytes())
        given = np.load(file.with_suffix(".npy"))
        return lambda: layers.run_features(given, 0, 1)
    if work["kind"] == "float layer":
        from peers import OnnxNet

        layer = OnnxNet(file.read_bytes(), work["classes"])
        given = np.load(file.with_suffix(".npy"))
        return lambda: layer(given)
    if work["kind"] == "image":
        model, image = bifast.Model.load(file), np.load(folder / work["image"])
        return lambda: model.run(image)
    if work["kind"] == "graph":
        from peers import onnx_call

        return onnx_call(file.read_bytes(), np.load(folder / work["image"]))
    features, clip = (np.load(folder / f"{name}.npy") for name in ("features", "clip"))
    match work["kind"]:
        case "net":
            model = bifast.Model.load(file)
            return lambda: model.run_features(features, depth=work["depth"])
        case "clip":
            model = bifast.Model.load(file)
            return lambda: model.run(clip, depth=work["depth"])
        case "front-end":
            model = bifast.Model.load(file)
            return lambda: model.features(clip)
        case "onnxruntime":
            from peers import OnnxNet

            net = OnnxNet(file.read_bytes(), work["classes"])
            return lambda: net(features)
        case "numpy":
            from peers import NumpyLogMel

            from bifast.format import FrontendParams

            log_mel = NumpyLogMel(FrontendParams(**json.loads(file.read_text())))
            return lambda: log_mel(clip)
    raise ValueError(work["kind"])


def where_engine_is() -> str:
    """Addresses of the engine's code, as FIRST-LAST in hexadecimal."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(m.split()[0] for m in maps if "bifast/_core" in m and " r-xp " in m)


def mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)


def main() -> None:
    folder = Path(sys.argv[1])
    gc.disable()
    (folder / "engine.txt").write_text(where_engine_is())
    for work in json.loads((folder / "work.json").read_text()):
        call = call_of(work, folder)
        for _ in range(3):
            call()
        mark()
        for _ in range(FEW):
            call()
        mark()
        for _ in range(MANY):
            call()
        mark()


if __name__ == "__main__":
    main()
