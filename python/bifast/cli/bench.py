"""`bifast bench`: how fast a model runs on this machine, as a table or JSON to send in."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import bifast
from bifast import _core, audio, shipped
from bifast.cli import options
from bifast.cli.table import format_table

_EPILOG = """\
One thread runs a demo sound again and again: front-end alone, net alone and the whole clip at each depth, with
every instruction set of this CPU. Times are microseconds, median and least of all rounds.

examples:
  bifast bench
  bifast bench --json > raspberry-pi-5.json

exit codes: 0 measured; 2 the command line is wrong.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "bench", "measure the shipped model on this machine", _EPILOG
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--seconds",
        type=options.positive_seconds,
        default=0.3,
        help="time for each row (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure all rows and print them."""
    machine = {
        "bifast": bifast.__version__,
        "model": bifast.DEFAULT_MODEL,
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    rows = [
        {"isa": isa, "what": what, "median_us": round(mid, 2), "least_us": round(least, 2)}
        for isa in _core.isas()
        for what, call in _calls(isa)
        for mid, least in [_microseconds(call, args.seconds)]
    ]
    if args.json:
        print(json.dumps({**machine, "rows": rows}, indent=1))
        return 0
    for name, value in machine.items():
        print(f"{name:8} {value}")
    print()
    print(format_table(("isa", "what", "median us", "least us"),
                       [tuple(map(str, row.values())) for row in rows]))  # fmt: skip
    return 0


def _calls(isa: str) -> list[tuple[str, Callable[[], object]]]:
    """Name each thing that is measured with its call."""
    model = bifast.Model.load(bifast.DEFAULT_MODEL, isa=isa)
    clip = audio.load(shipped.sounds()[0], model.sample_rate)[: model.window]
    features = model.features(clip)
    calls: list[tuple[str, Callable[[], object]]] = [("front-end", lambda: model.features(clip))]
    for depth in model.depths:
        calls.append((f"net {depth}", lambda d=depth: model.run_features(features, depth=d)))  # type: ignore[misc]
        calls.append((f"clip {depth}", lambda d=depth: model.run(clip, depth=d)))  # type: ignore[misc]
    return calls


def _microseconds(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Call again and again for some seconds, at least five times; median and least time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - start))
    return median(times), min(times)


def _cpu() -> str:
    """Name the CPU as the system does: x86 in /proc/cpuinfo, boards in the device tree."""
    board = Path("/proc/device-tree/model")
    if board.is_file():
        return board.read_text(errors="replace").strip("\0\n ")
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
