"""Rows of a benchmark run, and how they are written in tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bifast
from bifast import _core

# The shipped models that take sound.
SPOTTERS = [name for name in bifast.models() if bifast.Model.load(name).sample_rate]
NOISY = 0.10  # quartile distance over median, past which a row is marked


@dataclass(frozen=True)
class Row:
    """One benchmark; times in microseconds of one call of what it measures."""

    group: str
    who: str
    title: str
    macs: int
    bytes: int
    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.median

    @property
    def rate(self) -> float:
        """Gop/s: a multiplication and an addition are two operations."""
        return 2e-3 * self.macs / self.median

    @property
    def intensity(self) -> float:
        """Operations for each byte of weights, inputs and outputs."""
        return 2 * self.macs / self.bytes


class Rows:
    """All rows of a run, each from the pass that disturbed it least, in the order of the first pass."""

    def __init__(self, passes: list[list[Row]]) -> None:
        self.best: dict[tuple[str, str], Row] = {}
        for row in (row for rows in passes for row in rows):
            key = (row.group, row.who)
            if key not in self.best or row.median < self.best[key].median:
                self.best[key] = row

    def __iter__(self) -> Iterator[Row]:
        return iter(self.best.values())

    def get(self, group: str, who: str) -> Row | None:
        """Return a row, None if it was not measured."""
        return self.best.get((group, who))

    def groups(self, prefix: str) -> list[str]:
        return list(dict.fromkeys(row.group for row in self if row.group.startswith(prefix)))

    def of(self, group: str) -> list[Row]:
        return [row for row in self if row.group == group]


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
                bytes=info.get("bytes", 0),
                median=scale * stats["median"],
                low=scale * stats["q1"],
                high=scale * stats["q3"],
                rounds=stats["rounds"],
            )
        )
    return rows


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table, all but the first column to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def against(ours: Row, peer: Row) -> str:
    """How many times as long a peer takes, with the range that the quartiles of both allow."""
    ratio = peer.median / ours.median
    low, high = peer.low / ours.high, peer.high / ours.low
    text = f"{ratio:.1f} ({low:.1f}-{high:.1f})"
    return f"{text}, **slower**" if ratio < 1 else text


def microseconds(row: Row) -> str:
    mark = " ~" if row.spread > NOISY else ""
    return f"{row.median:.3g}{mark}" if row.median < 1000 else f"{row.median:.0f}{mark}"


def versus(rows: Rows, prefix: str) -> str:
    """Groups with peers: time of everyone, and how many times faster bifast's best is."""
    best = f"bifast {_core.isas()[0]}"
    body = []
    for group in rows.groups(prefix):
        ours = rows.get(group, best)
        for row in rows.of(group):
            ratio = "" if ours is None or row.who.startswith("bifast") else against(ours, row)
            rate = f"{row.rate:.0f}" if row.macs else ""
            body.append([group, row.who, microseconds(row), ratio, rate, str(row.rounds)])
    head = ["what", "by", "us", f"times {best}", "Gop/s", "rounds"]
    if not any(line[4] for line in body):
        head.pop(4)
        body = [[*line[:4], line[5]] for line in body]
    return table(head, body)


CALLS = ("features", "clip")


def call_overhead(rows: Rows, kind: str) -> float | None:
    """Microseconds that a call of `Model` takes over the C call; None if either was not measured."""
    python, c = rows.get(f"call {kind}", "Model"), rows.get(f"call {kind}", "C")
    return None if python is None or c is None else python.median - c.median


def calls(rows: Rows) -> str:
    """One line for each way to call, and what Python adds to C."""
    body = []
    for who in ("C", "extension", "Model"):
        found = [rows.get(f"call {kind}", who) for kind in CALLS]
        body.append([who, *("not measured" if r is None else microseconds(r) for r in found)])
    over = [call_overhead(rows, kind) for kind in CALLS]
    cells = ["not measured" if value is None else f"{value:.3g}" for value in over]
    return table(["call", *CALLS], [*body, ["Model less C", *cells]])


def layers(rows: Rows) -> str:
    """One line per kind of layer with its time on each instruction set."""
    isas = _core.isas()
    body = []
    for group in rows.groups("layer "):
        times = {row.who: row for row in rows.of(group)}
        best = times[isas[0]]
        rate = f"{best.rate:.1f}" if best.macs else ""
        cells = [microseconds(times[isa]) for isa in isas]
        body.append([f"{group.removeprefix('layer ')}: {best.title}", *cells, rate])
    return table(["layer", *[f"us, {isa}" for isa in isas], f"Gop/s, {isas[0]}"], body)
