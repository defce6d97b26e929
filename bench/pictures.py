"""Pictures of docs/performance.md: 1-bit layers under their ceilings, and bars against peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from rows import Row, Rows

import bifast
from bifast import _core

OURS, THEIRS = "tab:red", "tab:blue"
CEILINGS = {"amx": "avx512", "avx512": "avx512", "avx2": "avx2", "neon": "neon", "scalar": "popcnt"}


def roofline(rows: Rows, path: Path) -> None:
    """Draw Gop/s of each 1-bit layer over its operations a byte, below what the machine can do."""
    figure, panel = pyplot.subplots(figsize=(8, 5))
    colours = dict(zip(_core.isas(), ("tab:red", "tab:blue", "tab:gray"), strict=False))
    read = rows.get("ceiling", "read")
    span = (4.0, 2000.0)
    for isa, colour in colours.items():
        ceiling = rows.get("ceiling", CEILINGS[isa])
        if ceiling is None:
            continue
        corner = ceiling.rate / (read.bytes / read.median / 1e3) if read else span[0]
        panel.plot([max(span[0], corner), span[1]], [ceiling.rate] * 2, "--", color=colour)
        name = f"{CEILINGS[isa]}: {ceiling.rate:.0f} Gop/s"
        panel.annotate(name, (span[1], ceiling.rate), (-4, 3), textcoords="offset points",
                       ha="right", size=8, color=colour)  # fmt: skip
        spots = [
            r
            for r in rows
            if r.bytes and r.who in (isa, f"bifast {isa}") and "float" not in r.title
        ]
        panel.plot([r.intensity for r in spots], [r.rate for r in spots], "o", color=colour, ms=5)
        if isa == _core.isas()[0]:
            name_spots(panel, spots)
    if read:
        speed = read.bytes / read.median / 1e3
        top = max(r.rate for r in rows.of("ceiling") if r.macs)
        panel.plot([span[0], top / speed], [span[0] * speed, top], ":", color="0.4")
        panel.annotate(f"L2 read, {speed:.0f} GB/s", (span[0], span[0] * speed), (22, 4),
                       textcoords="offset points", size=8, color="0.4")  # fmt: skip
    panel.set(xscale="log", yscale="log", xlim=span, ylabel="Gop/s",
              xlabel="1-bit operations for each byte of weights, inputs and outputs")  # fmt: skip
    panel.set_title(
        "1-bit layers of the shipped models; dots in the colour of their ceiling", size=9
    )
    panel.grid(alpha=0.3, which="both")
    save(figure, path)


def name_spots(panel: Any, spots: list[Row]) -> None:
    """Name layers on the left of their dots, products on the right."""
    for row in spots:
        product = row.group.startswith("product ")
        name = row.group.removeprefix("product ").removeprefix("layer ")
        panel.annotate(name, (row.intensity, row.rate), (6 if product else -6, -2), size=6,
                       textcoords="offset points", ha="left" if product else "right")  # fmt: skip


def bars(rows: Rows, path: Path) -> None:
    """Draw times of the net, of a clip and of one product, everyone in one run."""
    name = bifast.DEFAULT_MODEL
    titles = {
        f"net {name} full": "net, full depth",
        f"clip {name} full": "one second of sound, full depth",
        "product 8 x 256 x 256": "1-bit product 8 x 256 x 256",
    }
    figure, panels = pyplot.subplots(len(titles), 1, figsize=(8, 8))
    for panel, (group, title) in zip(panels, titles.items(), strict=True):
        members = sorted(rows.of(group), key=lambda row: -row.median)
        colours = [OURS if row.who.startswith("bifast") else THEIRS for row in members]
        panel.barh([row.who for row in members], [row.median for row in members], color=colours)
        for place, row in enumerate(members):
            panel.annotate(f"{row.median:.0f}" if row.median > 100 else f"{row.median:.3g}", (row.median, place), (3, 0), va="center",
                           textcoords="offset points", size=7)  # fmt: skip
        panel.set_title(f"{title}, microseconds (shorter is better)", size=9)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.1)
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
