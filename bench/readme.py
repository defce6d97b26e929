"""The table of figures in README.md, from the same run as docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path

from machine import cpu_name
from rows import Row, Rows, microseconds, table

import bifast
from bifast import _core

# The shipped models that recognise the same ten classes.
NAMES = (bifast.DEFAULT_MODEL, "bifast-kws")
START, END = "<!-- figures of `make bench` -->", "<!-- end of figures -->"
TEXT = """One thread on {cpu} ({isa}),
called from Python, all in one run; what is right of the official test split's eight commands, unknown words that were
never trained and silence is from the models' cards; every depth, layer, peer and spread is in [docs/performance.md](docs/performance.md),
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


def of_model(rows: Rows, name: str) -> list[list[str]]:
    """Return the lines of one shipped model: net, clip, bytes, accuracy."""
    model = bifast.Model.load(name)
    exact, deepest, thinnest = ["onnxruntime FP32"], model.depths[0], model.depths[-1]
    lines = [
        line(rows, f"`{name}`, {deepest} depth", f"net {name} {deepest}", exact),
        line(rows, "the same, the fastest peer in FP32", f"net {name} {deepest}",
             [*exact, "LiteRT FP32", "PyTorch FP32"]),
        line(rows, "the same, the fastest peer in int8", f"net {name} {deepest}",
             ["onnxruntime int8", "LiteRT int8"]),
        line(rows, f"`{name}`, {thinnest} depth", f"net {name} {thinnest}", exact),
        line(rows, f"`{name}`, a second of sound to a word", f"clip {name} {deepest}"),
    ]  # fmt: skip
    # Without other peers than the first a line would be there twice.
    found = [
        cells
        for i, cells in enumerate(lines)
        if cells and (i != 1 or cells[2:] != (lines[0] or [])[2:])
    ]
    size, twin = len(model.to_bytes()), model.card.get("float_bytes")
    if twin:
        found.append(
            [f"`{name}`, bytes", f"{size:,}", f"{twin:,}, FP32 twin", f"{twin / size:.1f}"]
        )
    accuracy = model.card.get("accuracy")
    if accuracy:
        right = ", ".join(f"{accuracy[depth]:.1f}" for depth in model.depths)
        found.append([f"`{name}`, % right at its depths", right, "", ""])
    return found


def figures(rows: Rows) -> str:
    """Return the sentence and the table."""
    lines = [cells for name in NAMES for cells in of_model(rows, name)]
    common = [
        line(rows, "log-mel of one second", "front-end"),
        line(rows, "1-bit product 8 x 256 x 256", "product 8 x 256 x 256", ["xor + pshufb"]),
    ]
    lines += [cells for cells in common if cells is not None]
    made = table(["the shipped models", "bifast", "peer", "ratio"], lines)
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
