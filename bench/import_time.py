"""What `import bifast` adds to `import numpy`, and how long the shipped model takes to load.

    python bench/import_time.py [--json FILE]

Each figure is the median over fresh interpreters.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

PROGRAM = """
import time, json
import numpy
start = time.perf_counter()
import bifast
imported = time.perf_counter()
bifast.Model.load(bifast.DEFAULT_MODEL)
loaded = time.perf_counter()
bifast.Model.load(bifast.DEFAULT_MODEL)
again = time.perf_counter()
print(json.dumps([1e3 * (b - a) for a, b in
                  [(start, imported), (imported, loaded), (loaded, again)]]))
"""
NAMES = ("import_ms", "first_load_ms", "load_ms")


def measure(processes: int) -> dict[str, float]:
    rows = [
        json.loads(subprocess.run([sys.executable, "-c", PROGRAM], check=True,
                                  capture_output=True).stdout)
        for _ in range(processes)
    ]  # fmt: skip
    return {
        name: median(values) for name, values in zip(NAMES, zip(*rows, strict=True), strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--processes", type=int, default=21)
    arguments = parser.parse_args()
    figures = measure(arguments.processes)
    for name, value in figures.items():
        print(f"{name:14} {value:7.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
