"""`bifast info`: versions, instruction sets, shipped models, extras."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

import numpy as np

import bifast
from bifast import _core
from bifast.cli import options
from bifast.cli.table import format_table

_EPILOG = """\
examples:
  bifast info
  bifast info --json                  the same for a program
  BIFAST_ISA=scalar bifast info       see what an instruction set forced by the environment does

exit codes: 0; 2 BIFAST_ISA names an instruction set that is unknown or that this CPU cannot run.
"""
EXTRAS = {
    "audio": ("soundfile", "soxr", "sounddevice"),
    "images": ("pillow",),
    "onnx": ("onnx", "onnxruntime"),
    "plot": ("matplotlib",),
    "parquet": ("pyarrow",),
    "dask": ("distributed",),
    "wyoming": ("wyoming",),
    "train": ("torch", "soundfile", "soxr", "rich", "matplotlib"),
}


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "info", "show versions, instruction sets, shipped models and extras", _EPILOG
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is installed and in use."""
    versions = {
        "bifast": bifast.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
    }
    isas = {
        "available": bifast.isas(),
        "in_use": bifast.default_isa(),
        "forced_by_BIFAST_ISA": os.environ.get("BIFAST_ISA"),
        "kernels": _core.kernels(),
    }
    models = [_model(name) for name in bifast.models()]
    extras = {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()}
    if args.json:
        report = {"versions": versions, "isas": isas, "models": models, "extras": extras}
        print(json.dumps(report))
        return 0
    _print_lines(versions | {"executable": sys.executable})
    print()
    _print_lines(
        {
            "instruction sets": ", ".join(bifast.isas()) + " (best first)",
            "in use": bifast.default_isa()
            + (" (forced by BIFAST_ISA)" if os.environ.get("BIFAST_ISA") else ""),
            "kernels": ", ".join(_core.kernels()),
        }
    )
    _print_models(models)
    rows = [
        (extra, ", ".join(f"{name} {version or '(missing)'}" for name, version in found.items()))
        for extra, found in extras.items()
    ]
    print("\n" + format_table(("extra", "packages"), rows))
    return 0


def _model(name: str) -> dict[str, Any]:
    """Describe a shipped model."""
    model = bifast.Model.load(name)
    return {
        "name": name,
        "bytes": len(model.to_bytes()),
        "labels": list(model.labels),
        "depths": list(model.depths),
        "accuracy": model.card.get("accuracy"),
        "licence": model.card.get("licence"),
    }


def _version(package: str) -> str | None:
    """Return the version of an installed package, None if it is missing; does not import it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _print_models(models: list[dict[str, Any]]) -> None:
    """Print the shipped models, and their labels once each."""
    rows = [
        (m["name"], f"{m['bytes']:,}", ", ".join(m["depths"]), ", ".join(m["labels"]))
        for m in models
    ]
    print("\n" + format_table(("model", "bytes", "depths", "labels"), rows, "lrll"))


def _print_lines(lines: dict[str, str]) -> None:
    """Print keys and values, aligned."""
    width = max(map(len, lines))
    for key, value in lines.items():
        print(f"{key:<{width}}  {value}")
