"""The tables of a series: Markdown, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from bifast.atomic import write_atomic
from bifast.train.run import write_json
from bifast.train.series.picture import draw_table
from bifast.train.series.plan import Series
from bifast.train.series.summary import Spread, Table, TableRow, collect


def write_tables(series: Series, out: Path) -> Table:
    """Write `table.md`, `table.csv`, `table.json` and `table.png`; returns the table."""
    out.mkdir(parents=True, exist_ok=True)
    table = collect(series, out)
    _write_text(out / "table.md", markdown(table))
    _write_text(out / "table.csv", comma_separated(table))
    write_json(out / "table.json", asdict(table))
    if any(row.seeds for row in table.rows):
        draw_table(table, out / "table.png")
    return table


def _write_text(path: Path, text: str) -> None:
    def write(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_atomic(path, write)


def markdown(table: Table) -> str:
    """Return the table for a page: a row that failed, or has not run, says so."""
    depths = table.depths
    head = ["row", "seeds", *(f"{d} %" for d in depths), "drop", "from", "1-bit weights %"]
    head += ["bytes", "ms/clip", "CPU min", "by"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in table.rows:
        lines.append("| " + " | ".join(_cells(row, depths)) + " |")
    notes = [
        f"- {row.title}: not by the engine: {row.refused}" for row in table.rows if row.refused
    ]
    notes += [f"- {row.title}: failed, {error}" for row in table.rows for error in row.errors]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _cells(row: TableRow, depths: list[str]) -> list[str]:
    if not row.seeds:
        told = "failed" if row.errors else "not run"
        return [row.title, "0", *[told] * len(depths), *[""] * 7]
    first = depths[0]
    speed = row.milliseconds.get(first)
    return [
        row.title,
        str(len(row.seeds)),
        *(str(row.accuracy.get(d, "")) for d in depths),
        str(row.drop.get(first, "")),
        row.reference if row.drop else "",
        f"{row.one_bit:.1f}",
        str(row.size),
        "" if speed is None else f"{speed:.3f}",
        f"{row.cpu_seconds / 60:.1f}",
        row.measured_by,
    ]


def comma_separated(table: Table) -> str:
    """Return one line for each row and depth."""
    text = io.StringIO()
    head = ["row", "title", "depth", "seeds", "accuracy", "deviation", "reference", "drop"]
    head += ["drop_deviation", "one_bit", "bytes", "milliseconds", "cpu_seconds", "epochs"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, "measured_by", "refused", "errors"])
    for row in table.rows:
        for depth in row.accuracy or [""]:
            got, drop = row.accuracy.get(depth), row.drop.get(depth)
            writer.writerow(
                [
                    row.name,
                    row.title,
                    depth,
                    len(row.seeds),
                    *_numbers(got),
                    row.reference,
                    *_numbers(drop),
                    row.one_bit,
                    row.size,
                    row.milliseconds.get(depth, ""),
                    round(row.cpu_seconds, 1),
                    row.epochs,
                    row.measured_by,
                    row.refused,
                    "; ".join(row.errors),
                ]
            )
    return text.getvalue()


def _numbers(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["", ""]
    tail = "" if spread.deviation is None else f"{spread.deviation:.3f}"
    return [f"{spread.mean:.3f}", tail]
