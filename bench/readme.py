"""The table of figures in README.md, from the same run as docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path

from machine import cpu_name
from rows import Row, Rows, microseconds, table

import bifast
from bifast import _core

START, END = "<!-- figures of `make bench` -->", "<!-- end of figures -->"
TEXT = """One thread on {cpu} ({isa}),
called from Python, all in one run; every depth, layer, peer and spread is in [docs/performance.md](docs/performance.md),
where the rows that are less flattering also stand; `bifast bench` measures yours:

{table}
"""


def line(rows: Rows, what: str, group: str, peers: list[str] | None = None) -> list[str] | None:
    """Ours against the fastest of some peers, or of all."""
    ours = rows.get(group, f"bifast {_core.isas()[0]}")
    others = [r for r in rows.of(group) if not r.who.startswith("bifast")]
    others = [r for r in others if peers is None or r.who in peers]
    if ours is None or not others:
        return None
    peer: Row = min(others, key=lambda row: row.median)
    cells = [f"{microseconds(ours)} us", f"{microseconds(peer)} us, {peer.who}"]
    return [what, *(cell.replace(" ~", "") for cell in cells), f"{peer.median / ours.median:.1f}"]


def figures(rows: Rows) -> str:
    """Return the sentence and the table."""
    name = bifast.DEFAULT_MODEL
    exact = ["onnxruntime FP32"]
    lines = [
        line(rows, "net, full depth", f"net {name} full", exact),
        line(rows, "the same, the fastest peer in FP32", f"net {name} full",
             [*exact, "LiteRT FP32", "PyTorch FP32"]),
        line(rows, "the same, the fastest peer in int8", f"net {name} full",
             ["onnxruntime int8", "LiteRT int8"]),
        line(rows, "net, eighth depth", f"net {name} eighth", exact),
        line(rows, "one second of sound to a word", f"clip {name} full"),
        line(rows, "log-mel of one second", "front-end"),
        line(rows, "1-bit product 8 x 256 x 256", "product 8 x 256 x 256", ["xor + pshufb"]),
    ]  # fmt: skip
    size = len(bifast.Model.load(name).to_bytes())
    twin = bifast.Model.load(name).card.get("float_bytes")
    if twin:
        lines.append(["bytes", f"{size:,}", f"{twin:,}, FP32 twin", f"{twin / size:.1f}"])
    head = ["the shipped model", "bifast", "peer", "ratio"]
    made = table(head, [cells for cells in lines if cells is not None])
    return TEXT.format(cpu=cpu_name(), isa=_core.isas()[0], table=made)


def write_figures(rows: Rows, readme: Path) -> None:
    """Put them between the marks of a README."""
    text = readme.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{readme}: no lines {START} and {END}")
    made = f"{START}\n{figures(rows)}{END}"
    beside = readme.with_suffix(".tmp")
    beside.write_text(marked.sub(lambda _: made, text), encoding="utf-8")
    beside.replace(readme)
