"""ResNet-18 on images of 224 x 224: the engine against onnxruntime FP32; writes docs/resnet18.md.

    make bench-resnet18

All rows of one run, one thread, turn by turn. Times are CPU times of that thread, so that other programs
on the machine count as little as possible. Weights are random: nothing here says how well such a net recognises.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import resnet18_nets as nets
from machine import machine_lines
from peers import onnx_call
from rows import table
from textbook import ceiling

import bifast
from bifast import atomic, one_layer
from bifast.format import ModelFile

Array = np.ndarray[Any, np.dtype[np.float64]]
Call = Callable[[], Any]
ARM64 = Path("docs/measured/resnet18-arm64.json")
LAYER_TIMES = 32


@dataclass(frozen=True)
class Times:
    """Milliseconds of one call."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Array) -> Times:
        """Median and quartiles."""
        low, median, high = (1e3 * float(q) for q in np.percentile(seconds, [25, 50, 75]))
        return cls(median, low, high)

    def __str__(self) -> str:
        """Median, three digits."""
        return f"{self.median:.3g}"


def ratio(ours: Times, peer: Times) -> str:
    """How many times as long the peer takes, with the range that the quartiles allow."""
    value = peer.median / ours.median
    text = f"{value:.1f} ({peer.low / ours.high:.1f}-{peer.high / ours.low:.1f})"
    return f"{text}, **slower**" if value < 1 else text


def seconds_of(calls: dict[str, Call], rounds: int) -> dict[str, Array]:
    """Time calls turn by turn: what disturbs one disturbs all."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(3):
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            seconds[name].append(time.thread_time() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def measure(calls: dict[str, Call], rounds: int) -> dict[str, Times]:
    """Return the times of calls."""
    return {name: Times.of(values) for name, values in seconds_of(calls, rounds).items()}


def peer_call(graph: bytes, shape: tuple[int, ...]) -> Call:
    """Return a call of onnxruntime on a random input."""
    return onnx_call(graph, np.random.default_rng(0).normal(size=shape).astype(np.float32))


def image_for(model: bifast.Model, seed: int = 0) -> Any:
    """Return a random image of a model's input."""
    rng = np.random.default_rng(seed)
    if model.input_dtype == np.uint8:
        return rng.integers(0, 256, (1, *model.input_shape), dtype=np.uint8)
    return rng.normal(size=(1, *model.input_shape)).astype(np.float32)


def engine_call(data: bytes, isa: str | None = None) -> Call:
    """Return a call of the engine from Python."""
    model = bifast.Model.load(data, isa=isa)
    image = image_for(model)
    return lambda: model.run(image)


def check(files: Sequence[ModelFile]) -> None:
    """Every instruction set gives the same bits: nothing is timed before."""
    for file in files:
        data = file.to_bytes()
        image = image_for(bifast.Model.load(data))
        found = {bifast.Model.load(data, isa=isa).run(image).tobytes() for isa in bifast.isas()}
        if len(found) != 1:
            raise SystemExit("instruction sets differ: nothing was timed")


def whole_net(small: ModelFile, real: ModelFile, graph: bytes, rounds: int) -> tuple[str, float]:
    """Time the nets; return the table and the ratio of the small one."""
    calls = {"onnxruntime FP32": peer_call(graph, (1, 3, nets.SIZE, nets.SIZE))}
    for isa in bifast.isas()[:-1]:  # not scalar
        calls[f"bifast {isa}, first, shortcut and last layers int8"] = engine_call(
            small.to_bytes(), isa
        )
        calls[f"bifast {isa}, those layers float"] = engine_call(real.to_bytes(), isa)
    times = measure(calls, rounds)
    peer = times["onnxruntime FP32"]
    body = [
        [who, str(t), "" if t is peer else ratio(t, peer)] for who, t in times.items()
    ]  # fmt: skip
    best = times[f"bifast {bifast.isas()[0]}, first, shortcut and last layers int8"]
    return table(["by", "ms", "times as fast"], body), peer.median / best.median


def layer_times(
    file: ModelFile, name: str, peers: tuple[bytes, ...], shape: tuple[int, ...], rounds: int
) -> tuple[Times, Times | None]:
    """Time one layer of the engine, and of onnxruntime: one graph, or what a second has more."""
    op = next(op for op in file.ops if op.name == name)
    layer = one_layer.Layer(file, op)
    calls = {
        str(count): engine_call(one_layer.repeated(layer, count)) for count in (1, 1 + LAYER_TIMES)
    }
    calls |= {f"peer {i}": peer_call(graph, shape) for i, graph in enumerate(peers)}
    few, many, *others = seconds_of(calls, rounds).values()
    ours = Times.of((many - few) / LAYER_TIMES)  # of one round each: what both share falls out
    if len(others) == 2:
        return ours, Times.of(others[1] - others[0])
    return ours, Times.of(others[0]) if others else None


def convolutions(file: ModelFile, rounds: int) -> tuple[str, float]:
    """Time the 3 x 3 layers, each kind once; return the table and the ratio of all sixteen."""
    body, ours_all, peer_all = [], 0.0, 0.0
    for conv, count in nets.kinds():
        shape = (1, conv.c_in, conv.size, conv.size)
        ours, peer = layer_times(file, conv.name, nets.float_pair(conv), shape, rounds)
        assert peer is not None
        ours_all += count * ours.median
        peer_all += count * peer.median
        rate = f"{2e-6 * conv.multiply_adds / ours.median:.0f}"
        body.append([conv.title, str(count), str(ours), str(peer), ratio(ours, peer), rate])
    total = peer_all / ours_all
    body.append(["all", "16", f"{ours_all:.3g}", f"{peer_all:.3g}", f"{total:.1f}", ""])
    head = ["layer", "of them", "ms", "onnxruntime ms", "times as fast", "Gop/s"]
    return table(head, body), total


def other_layers(small: ModelFile, real: ModelFile, rounds: int) -> str:
    """Time what is not binary."""
    stem = (nets.float_chain([nets.STEM]),), (1, 3, nets.SIZE, nets.SIZE)
    rows: list[tuple[str, ModelFile, str, tuple[bytes, ...], tuple[int, ...]]] = [
        ("first layer 7x7/2, bytes", small, "stem", *stem),
        ("first layer 7x7/2, floats", real, "stem", *stem),
        ("max pooling 3x3/2, signs", small, "pool", (), ()),
    ]
    for stage in (2, 3, 4):
        conv = next(c for c in nets.binary_convs() if c.name == f"stage{stage}.conv1")
        point = nets.Conv("point", conv.size, conv.c_in, conv.c_out, 1, 2)
        shape = (1, conv.c_in, conv.size, conv.size)
        name = f"{conv.name}.pool", f"{conv.name}.shortcut"
        rows.append((f"shortcut {stage}: average 2x2", small, name[0], (), ()))
        rows.append(
            (f"shortcut {stage}: 1x1 of bytes", small, name[1], (nets.float_chain([point]),), shape)
        )
    rows.append(("last layer 512 -> 1000", small, "classifier", (), ()))
    body = []
    for title, file, name, peers, shape in rows:
        ours, peer = layer_times(file, name, peers, shape, rounds)
        against = ["", ""] if peer is None else [str(peer), ratio(ours, peer)]
        body.append([title, str(ours), *against])
    return table(["layer", "ms", "onnxruntime ms", "times as fast"], body)


def sizes(small: ModelFile, real: ModelFile, graph: bytes) -> tuple[str, float]:
    """Return the table of sizes, and how many times smaller the small net is."""
    floats = nets.float_bytes(graph)
    files = {"int8 first, shortcut and last layers": small, "float16 there": real}
    body = [["FP32 parameters, batch norms folded", f"{floats:,}", ""]]
    for title, file in files.items():
        size = len(file.to_bytes())
        body.append([f".bifast file, {title}", f"{size:,}", f"{floats / size:.1f}"])
    memory = bifast.Model.load(small.to_bytes()).scratch_bytes
    body.append(["memory of one run besides the weights", f"{memory:,}", ""])
    return table(["what", "bytes", "times smaller"], body), floats / len(small.to_bytes())


def ceilings() -> str:
    """Return the table of what a core reaches with products of one kind on registers alone."""
    kinds = {
        "fma": "FP32: fused multiply-adds of 512 bits",
        "avx512": "bits: exclusive or, population count, addition",
        "amx": "bits as bytes: `tdpbssd`",
    }
    here = [kind for kind in kinds if kind in bifast.isas() or kind == "fma"]
    if "avx512" not in here:
        return "Not measured: no AVX-512 here."
    rates = {}
    for kind in here:
        made = []
        for _ in range(5):
            start = time.thread_time()
            macs = ceiling(kind, 100_000)
            made.append(2e-9 * macs / (time.thread_time() - start))
        rates[kind] = max(made)
    body = [
        [kinds[kind], f"{rates[kind]:.0f}", f"{rates[kind] / rates['fma']:.1f}"] for kind in here
    ]
    return table(["product on registers alone", "Gop/s", "times FP32"], body)


def instructions() -> str:
    """Return the table of instructions on AArch64, or how to make it."""
    if not ARM64.exists():
        return "Not counted: `make bench-resnet18-arm64` counts."
    counted = json.loads(ARM64.read_text())
    body = [
        [row["what"], f"{row['bifast'] / 1e6:.2f}", f"{row['onnxruntime'] / 1e6:.2f}",
         f"{row['onnxruntime'] / row['bifast']:.1f}"]
        for row in counted["rows"]
    ]  # fmt: skip
    facts = (
        f"Counted at commit {counted['commit']}: {counted['qemu']}; {counted['compiler']}; "
        f"onnxruntime {counted['onnxruntime']}."
    )
    head = ["what", "bifast", "onnxruntime FP32", "times as many"]
    return f"{table(head, body)}\n\n{facts}"


PAGE = """# ResNet-18

Written by `make bench-resnet18`; do not edit. A residual net for images of 224 x 224 with 1-bit 3 x 3 layers (a
shortcut around each, average pooling and a 1 x 1 convolution of bytes where its shape changes) against the usual
ResNet-18 in FP32 with folded batch norms in onnxruntime: the same convolutions, {macs:.2f} G multiply-adds, of which
{binary:.2f} G are binary. Weights are random: this page is about time and bytes, not about what such nets
recognise.

One thread, one image, {rounds} rounds turn by turn, CPU time of the thread, medians; ranges are those of the
quartiles of both. Every instruction set gave the same bits before anything was timed. bifast is called from Python
by `Model.run`.

{machine}

## Whole net

{net}

## Binary 3 x 3 layers

With batch norm, shortcut and the signs of the next layer, from bits to floats and bits; onnxruntime's with bias and
ReLU. Gop/s: operations on single bits, two for each multiply-add.

{convolutions}

What limits them, measured in the same run:

{ceilings}

AVX-512 needs three instructions for 512 multiply-adds and runs at most two a cycle. AMX multiplies bytes, so the bits
become bytes first: 0 and 1 by +2 and -2, since the clock of this core follows how many bits of the operands are set.
Beside the product, each layer makes an image of bytes from its bits and tiles of bytes from its weights, and adds
scale, shift and shortcut to each sum. The latter weighs most at 56 x 56, where it reads and writes 1.6 MB of floats, the
weights at 7 x 7, where each is used for 49 positions only.

## Other layers

{others}

A shortcut alone is timed without the quantisation of its input (`quantise`, 16 x + 128), which the whole net has. The
first layer and the pooling alone are timed each with its whole input and output, 3.2 MB between them; in the whole net
their rows come in turn and stay in the second cache. Sums of bytes are exact whatever their order. Products of floats
are rounded before they are added, so that all CPUs give the same bits: half of what fused multiply-adds reach.

## Size

{sizes}

## Instructions on AArch64 (NEON), millions

Under qemu, of one call; never called time.

{instructions}

## Against DIR-Net's headline

DIR-Net reports 11.1 times smaller and 5.4 times faster for ResNet-18 on an ARM board.

| what | DIR-Net | here | wanted here |
| --- | ---: | ---: | ---: |
| size | 11.1 | {size_ratio:.1f} | 11.1, better 25 |
| whole net, time | 5.4 | {net_ratio:.1f} | 5.4, better 12 |
| binary 3 x 3 layers, time | | {conv_ratio:.1f} | 15 |

Wanted and not reached are 12 times. The times are of this CPU, which has AMX; the other rows above say what is left
without it. Run in turns with other nets, as here, each net finds its weights and activations in the third cache. Beside
the 3 x 3 layers, most of the time goes into the first layer with its pooling and into the shortcuts. The instructions
on AArch64 were counted with shortcuts and a last layer of floats.
"""


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/resnet18.md"))
    parser.add_argument("--rounds", type=int, default=40, help="of each row (default: %(default)s)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    small, real = nets.binary_resnet18(), nets.binary_resnet18(real=True)
    graph = nets.float_resnet18()
    check([small, real])
    net, net_ratio = whole_net(small, real, graph, args.rounds)
    convs, conv_ratio = convolutions(small, args.rounds)
    size_table, size_ratio = sizes(small, real, graph)
    binary = sum(conv.multiply_adds for conv in nets.binary_convs())
    page = PAGE.format(
        macs=nets.multiply_adds() / 1e9, binary=binary / 1e9, rounds=args.rounds,
        machine="\n".join(machine_lines()), net=net, convolutions=convs, ceilings=ceilings(),
        others=other_layers(small, real, args.rounds), sizes=size_table,
        instructions=instructions(), size_ratio=size_ratio, net_ratio=net_ratio,
        conv_ratio=conv_ratio,
    )  # fmt: skip
    atomic.write_atomic(args.out, lambda beside: beside.write_text(page))
    print(page)


if __name__ == "__main__":
    main()
