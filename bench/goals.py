"""What bifast sets out to reach, each goal with what this run reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rows import CALLS, SPOTTERS, Row, Rows, call_overhead, table

import bifast
from bifast import _core
from bifast.format import FRONTEND_PAPER, ModelFile

NET = bifast.DEFAULT_MODEL
FP32, INT8 = "onnxruntime FP32", "onnxruntime int8"


@dataclass(frozen=True)
class Reached:
    """A figure, and its range or what it is made of in words."""

    value: float
    detail: str = ""


@dataclass(frozen=True)
class Goal:
    """What must be reached, and what is aimed at; `least` false: figures at most so large."""

    what: str
    must: float
    aim: float | None
    reached: Callable[[Rows, dict[str, Any]], Reached | str]
    unit: str = "x"
    least: bool = True


def best() -> str:
    return f"bifast {_core.isas()[0]}"


def ratio(ours: Row | None, peers: list[Row | None]) -> Reached | str:
    """The fastest peer's time over ours; a string says why there is none."""
    measured = [peer for peer in peers if peer is not None]
    if ours is None or not measured:
        return "not measured"
    peer = min(measured, key=lambda row: row.median)
    low, high = peer.low / ours.high, peer.high / ours.low
    return Reached(peer.median / ours.median, f"{low:.1f}-{high:.1f}")


def net(depth: str, peer: str, isa: str | None = None) -> Callable[..., Reached | str]:
    def reached(rows: Rows, arm: dict[str, Any]) -> Reached | str:
        group = f"net {NET} {depth}"
        return ratio(rows.get(group, f"bifast {isa}" if isa else best()), [rows.get(group, peer)])

    return reached


def clip_of(rows: Rows, name: str) -> Reached | str:
    group = f"clip {name} full"
    peers = [row for row in rows.of(group) if not row.who.startswith("bifast")]
    return ratio(rows.get(group, best()), list(peers))


def clip(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    return clip_of(rows, NET)


def fast_clip(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    """The shipped model with another front-end than the paper's that gains most."""
    found: list[tuple[Reached, str]] = []
    for name in SPOTTERS:
        file = ModelFile.from_bytes(bifast.Model.load(name).to_bytes())
        if file.frontend is not None and file.frontend != FRONTEND_PAPER:
            reached = clip_of(rows, name)
            if isinstance(reached, Reached):
                found.append((reached, name))
    if not found:
        return "not measured: no shipped model has a faster front-end"
    reached, name = max(found, key=lambda pair: pair[0].value)
    return Reached(reached.value, f"{name}, {reached.detail}")


def product_of_ceiling(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    """The worst shape's rate over the ceiling's."""
    ceiling = rows.get("ceiling", "avx512")
    measured = [rows.get(group, "bifast avx512") for group in rows.groups("product ")]
    if ceiling is None or None in measured or not measured:
        return "not measured: no AVX-512 here"
    shares = [100 * row.rate / ceiling.rate for row in measured if row is not None]
    return Reached(min(shares), f"of the four shapes: {', '.join(f'{s:.0f}' for s in shares)} %")


def product_against_pshufb(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    """The worst shape's ratio."""
    groups = rows.groups("product ")
    found = [ratio(rows.get(g, "bifast avx2"), [rows.get(g, "xor + pshufb")]) for g in groups]
    values = [r.value for r in found if isinstance(r, Reached)]
    if not values:
        return "not measured: no AVX2 here"
    return Reached(min(values), f"of the four shapes: {', '.join(f'{v:.1f}' for v in values)}")


def mca(cpu: str) -> Callable[..., Reached | str]:
    def reached(rows: Rows, arm: dict[str, Any]) -> Reached | str:
        values = [facts[cpu] for facts in arm.get("mca", {}).get("blocks", {}).values()]
        if not values:
            return "not counted"
        return Reached(max(values), f"of the four shapes: {', '.join(f'{v:.2f}' for v in values)}")

    return reached


def instructions(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    counts = arm.get("instructions", {}).get(NET)
    if not counts:
        return "not counted"
    return Reached(counts[f"{FP32} full"] / counts["net full"])


def call(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    found = {kind: call_overhead(rows, kind) for kind in CALLS}
    values = {kind: value for kind, value in found.items() if value is not None}
    if not values:
        return "not measured: no CMake here"
    return Reached(max(values.values()), ", ".join(f"{k} {v:.2f}" for k, v in values.items()))


def arena(rows: Rows, arm: dict[str, Any]) -> Reached | str:
    sizes = {name: bifast.Model.load(name).scratch_bytes / 1024 for name in SPOTTERS}
    detail = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
    return Reached(max(sizes.values()), detail)


GOALS = [
    Goal("1-bit product with thresholds, AVX-512, part of the measured ceiling", 75, 90,
         product_of_ceiling, "%"),
    Goal("the same, AVX2, against the usual xor + pshufb popcount", 3, 6, product_against_pshufb),
    Goal("the same, NEON, llvm-mca neoverse-n1, cycles a block of 128 x 128 bits", 1.65, 1.55,
         mca("neoverse-n1"), "", False),
    Goal("the same, llvm-mca cortex-a53", 4.4, 3.8, mca("cortex-a53"), "", False),
    Goal(f"net, features to logits, from Python, full depth, against {FP32} of its float twin", 22.3,
         40, net("full", FP32)),
    Goal("the same at half depth", 30, None, net("half", FP32)),
    Goal("the same at quarter depth", 35, None, net("quarter", FP32)),
    Goal("the same at eighth depth", 40, None, net("eighth", FP32)),
    Goal(f"net, full depth, against {INT8}", 10, None, net("full", INT8)),
    Goal(f"net, full depth, AVX2 only, against {FP32} as it is", 12, None,
         net("full", FP32, "avx2")),
    Goal(f"one second of sound to logits, against the faster of NumPy and PyTorch + {FP32}", 10, 20,
         clip),
    Goal("the same with a faster front-end", 20, None, fast_clip),
    Goal(f"AArch64 instructions of the net, full depth: {FP32} over bifast", 8, 12, instructions),
    Goal("a call from Python, less the C call", 1, None, call, "us", False),
    Goal("arena of the shipped keyword nets", 64, 24, arena, "KiB", False),
]  # fmt: skip


def goal_table(rows: Rows, arm: dict[str, Any]) -> str:
    """One line a goal: must, aim, reached."""
    body = []
    for goal in GOALS:
        reached = goal.reached(rows, arm)
        sign = ">=" if goal.least else "<="
        targets = [f"{sign} {t:g} {goal.unit}".strip() if t else "" for t in (goal.must, goal.aim)]
        if isinstance(reached, str):
            body.append([goal.what, *targets, reached, ""])
            continue
        good = reached.value >= goal.must if goal.least else reached.value <= goal.must
        detail = f" ({reached.detail})" if reached.detail else ""
        figure = f"{reached.value:.3g} {goal.unit}".strip() + detail
        body.append([goal.what, *targets, figure, "yes" if good else "**no**"])
    return table(["what", "must", "aim", "reached", "met"], body)
