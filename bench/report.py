"""Write docs/performance.md from the figures of one `make bench`.

    python bench/report.py IMPORT_JSON OUTPUT BENCHMARK_JSON...

Of several passes over the benchmarks each row comes from the one that disturbed it least. Every ratio
is of two medians; its spread is that of the quartiles of both.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy
import onnxruntime

import bifast
from bifast import _core

NOISY = 0.10  # quartile distance over median, past which a row is marked

STARTS = {
    "import_ms": "`import bifast` adds to NumPy's own import",
    "first_load_ms": "loading the shipped model, first time in a process",
    "load_ms": "loading it again",
}
PAGE = """# Performance

Written by `make bench`; do not edit. One thread, one core, all rows of one run: several passes over
everything, of which each row takes the one with its lowest median. Times are medians in
microseconds; `~` marks a row whose quartiles are more than 10 % apart. A ratio's range is that of the
quartiles of both sides. Every row's result is checked before it is timed: instruction sets against
scalar bit for bit, features against a float64 log-mel within 0.001 dB, the ONNX graph against the
engine.

{machine}

## Net alone: features to logits

The peer is the float twin of the same net: the same layers with real (random) weights, batch
normalisation folded into them, ReLU where the binary net has a threshold, buffers bound once. bifast
is called from Python as a user calls it.

{net}

## Whole clip: one second of sound to logits

{clip}

## Front-end: one second of sound to log-mel

{front_end}

## Layers

Each kind of layer of the shipped model, repeated 32 times with its weights in the cache; an
operation is a multiplication or an addition of +-1 or float values.

{layers}

## Start

Medians over fresh interpreters.

{start}

## Size

{size}
"""


@dataclass(frozen=True)
class Row:
    """One benchmark; times in microseconds of one call of what it measures."""

    group: str
    who: str
    title: str
    macs: int
    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.median


def read_rows(path: Path) -> list[Row]:
    rows = []
    for entry in json.loads(path.read_text())["benchmarks"]:
        info, stats = entry["extra_info"], entry["stats"]
        scale = 1e6 / info.get("calls", 1)
        rows.append(
            Row(
                group=entry["group"],
                who=info["who"],
                title=info.get("title", ""),
                macs=info.get("macs", 0),
                median=scale * stats["median"],
                low=scale * stats["q1"],
                high=scale * stats["q3"],
                rounds=stats["rounds"],
            )
        )
    return rows


def least_disturbed(passes: list[list[Row]]) -> list[Row]:
    """Each row from the pass where its median is lowest, in the order of the first pass."""
    best: dict[tuple[str, str], Row] = {}
    for row in (row for rows in passes for row in rows):
        key = (row.group, row.who)
        if key not in best or row.median < best[key].median:
            best[key] = row
    return list(best.values())


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table, all but the first column to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def against(ours: Row, peer: Row) -> str:
    ratio = peer.median / ours.median
    low, high = peer.low / ours.high, peer.high / ours.low
    text = f"{ratio:.1f} ({low:.1f}-{high:.1f})"
    return f"{text}, **slower**" if ratio < 1 else text


def microseconds(row: Row) -> str:
    mark = " ~" if row.spread > NOISY else ""
    return f"{row.median:.3g}{mark}" if row.median < 1000 else f"{row.median:.0f}{mark}"


def versus(rows: list[Row], prefix: str) -> str:
    """Groups with peers: time of everyone, and how many times faster bifast's best is."""
    body = []
    for group in dict.fromkeys(row.group for row in rows if row.group.startswith(prefix)):
        members = [row for row in rows if row.group == group]
        best = next(row for row in members if row.who == f"bifast {_core.isas()[0]}")
        for row in members:
            ratio = "" if row.who.startswith("bifast") else against(best, row)
            body.append([group, row.who, microseconds(row), ratio, str(row.rounds)])
    return table(["what", "by", "us", f"times bifast {_core.isas()[0]}", "rounds"], body)


def layers(rows: list[Row]) -> str:
    """One line per kind of layer with its time on each instruction set."""
    isas = _core.isas()
    body = []
    for group in dict.fromkeys(row.group for row in rows if row.group.startswith("layer ")):
        times = {row.who: row for row in rows if row.group == group}
        best = times[isas[0]]
        rate = f"{2e-3 * best.macs / best.median:.1f}" if best.macs else ""
        cells = [microseconds(times[isa]) for isa in isas]
        body.append([f"{group.removeprefix('layer ')}: {best.title}", *cells, rate])
    return table(["layer", *[f"us, {isa}" for isa in isas], f"Gop/s, {isas[0]}"], body)


def size_lines() -> list[str]:
    lines = []
    for name in bifast.models():
        size = len(files("bifast").joinpath("models", f"{name}.bifast").read_bytes())
        float_bytes = bifast.Model.load(name).card.get("float_bytes")
        ratio = (
            f", {float_bytes / size:.1f} times smaller than its FP32 twin" if float_bytes else ""
        )
        lines.append(f"- `{name}`: {size} bytes{ratio}.")
    return lines


def first_match(pattern: str, text: str, default: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else default


def machine_lines() -> list[str]:
    cpu_file = Path("/proc/cpuinfo")
    cpu_text = cpu_file.read_text() if cpu_file.exists() else ""
    cpu = first_match(r"^model name\s*:(.*)$", cpu_text, platform.machine())
    family = first_match(r"^cpu family\s*:(.*)$", cpu_text, "?")
    number = first_match(r"^model\s*:(.*)$", cpu_text, "?")

    def output(*command: str) -> str:
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
        return result.stdout.splitlines()[0] if result.stdout else "unknown"

    return [
        f"- CPU: {cpu} (family {family}, model {number}); instruction sets {', '.join(_core.isas())}.",
        f"- Compiler: {output(os.environ.get('CXX', 'c++'), '--version')}.",
        f"- bifast {_core.version}, commit {output('git', 'describe', '--always', '--dirty')}.",
        f"- Python {platform.python_version()}, NumPy {numpy.__version__}.",
        f"- onnxruntime {onnxruntime.__version__}.",
    ]


def page(rows: list[Row], times: dict[str, float]) -> str:
    return PAGE.format(
        machine="\n".join(machine_lines()),
        net=versus(rows, "net "),
        clip=versus(rows, "clip "),
        front_end=versus(rows, "front-end"),
        layers=layers(rows),
        start=table(["what", "ms"], [[STARTS[name], f"{ms:.2f}"] for name, ms in times.items()]),
        size="\n".join(size_lines()),
    )


def main() -> None:
    imports, output, *passes = (Path(argument) for argument in sys.argv[1:])
    rows = least_disturbed([read_rows(path) for path in passes])
    text = page(rows, json.loads(imports.read_text()))
    beside = output.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(output)
    print(text)


if __name__ == "__main__":
    main()
