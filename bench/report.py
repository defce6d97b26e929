"""Write docs/performance.md, its pictures and the table of README.md from the figures of one `make bench`.

    python bench/report.py IMPORT_JSON OUTPUT BENCHMARK_JSON...

Of several passes over the benchmarks each row comes from the one that disturbed it least. Every ratio
is of two medians; its spread is that of the quartiles of both. What arm64.py counted is told as well.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import arm_tables
from goals import goal_table
from limits import LIMITS
from machine import machine_lines
from pictures import bars, roofline
from readme import write_figures
from rows import Rows, calls, layers, read_rows, table, versus

import bifast

PAGE_PLACE = Path("docs/performance.md")
ARM = Path("docs/measured/arm64.json")
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
scalar bit for bit, 1-bit products against NumPy, features against a float64 log-mel within 0.001 dB, the
ONNX graph against the engine, other runtimes against that graph.

{machine}
- int8 ranges: {ranges}.

## What was set out to reach

{goals}

{limits}
![times of bifast and of others]({bars})

## Net alone: features to logits

The peers run the float twin of the same net: the same layers with real (random) weights, batch
normalisation folded into them, ReLU where the binary net has a threshold. Random weights are enough for
a time. int8 is each runtime's own static quantisation, with ranges from real features ([bench/quantise.py](../bench/quantise.py),
[bench/litert_net.py](../bench/litert_net.py)). bifast is called from Python as a user calls it; so are the
peers, with buffers bound once where they can be.

{net}

## Whole clip: one second of sound to logits

{clip}

## Front-end: one second of sound to log-mel

{front_end}

## 1-bit products

M rows of activations, N of weights, K bits: packed bits in, thresholds, packed bits out; of bifast a whole
layer, with all that a layer costs. *xor + pshufb* is the usual AVX2 way, one output at a time;
*pshufb4* the same with four outputs a step, the best that we could make of it; *xor + popcnt* takes 64 bits
a step ([bench/textbook.cpp](../bench/textbook.cpp)). bnn-lab and NumPy leave float sums, without thresholds.

{products}

What the machine could do at most, on registers, nothing loaded or stored: xor, popcount and add;
AVX2, which has no popcount, two look-ups and two additions for 256 bits.

{ceilings}

![1-bit layers under their ceilings]({roofline})

## Layers

Each kind of layer of the shipped models, repeated 32 times with its weights in the cache; an
operation is a multiplication or an addition of +-1 or float values.

{layers}

## AArch64: instructions, not time

There is no ARM hardware here. Under qemu these are the instructions that the main thread executes for one
call from Python, the same in every run; what a call costs in Python is in them, on both sides.
{arm_facts}

{arm_nets}

{arm_layers}

Cycles by llvm-mca, for every instruction of a layer in the order in which it ran, for each block of
128 x 128 bits: a model of the core's pipes without cache misses and wrong guesses of branches; a call counts as
the branch that it is, where llvm-mca reckons 100 cycles. Not a time.

{arm_blocks}

On an ARM board, `bifast bench --json` measures time.

## Calls

What a call costs in microseconds with the smallest of models, which computes next to nothing: features to a mean of 16
channels, and a clip of one frame to one band. The C call in a loop in C, the method of the extension that it comes
through, and `Model.run_features` and `Model.run` as a user calls them; the last line is what Python adds to C.

{calls}

## Start

Medians over fresh interpreters.

{start}

## Size

{size}
"""


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


def ranges() -> str:
    """Say what int8 activations get their ranges from (conftest.calibration)."""
    if "BIFAST_DATA" in os.environ:
        return "features of recordings of the training split"
    return "features of the shipped sounds; with BIFAST_DATA, of recordings"


def ceilings(rows: Rows) -> str:
    """One line an instruction set."""
    body = [[row.who, f"{row.rate:.0f}"] for row in rows.of("ceiling") if row.macs]
    return table(["ceiling", "Gop/s"], body)


def page(rows: Rows, times: dict[str, float], arm: dict[str, Any], stem: str) -> str:
    return PAGE.format(
        machine="\n".join(machine_lines()),
        ranges=ranges(),
        goals=goal_table(rows, arm),
        limits=LIMITS,
        bars=f"{stem}-bars.png",
        roofline=f"{stem}-roofline.png",
        net=versus(rows, "net "),
        clip=versus(rows, "clip "),
        front_end=versus(rows, "front-end"),
        products=versus(rows, "product "),
        ceilings=ceilings(rows),
        layers=layers(rows),
        arm_facts=arm_tables.facts(arm),
        arm_nets=arm_tables.nets(arm),
        arm_layers=arm_tables.layers(arm),
        arm_blocks=arm_tables.blocks(arm),
        calls=calls(rows),
        start=table(["what", "ms"], [[STARTS[name], f"{ms:.2f}"] for name, ms in times.items()]),
        size="\n".join(size_lines()),
    )


def main() -> None:
    imports, output, *passes = (Path(argument) for argument in sys.argv[1:])
    rows = Rows([read_rows(path) for path in passes])
    arm = json.loads(ARM.read_text()) if ARM.exists() else {}
    roofline(rows, output.with_name(f"{output.stem}-roofline.png"))
    bars(rows, output.with_name(f"{output.stem}-bars.png"))
    text = page(rows, json.loads(imports.read_text()), arm, output.stem)
    if output == PAGE_PLACE:
        write_figures(rows, Path("README.md"))
    beside = output.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(output)
    print(text)


if __name__ == "__main__":
    main()
