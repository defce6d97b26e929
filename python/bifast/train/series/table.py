"""The tables of a series: Markdown, CSV, JSON and pictures."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from bifast.atomic import write_atomic
from bifast.train.lock import locked
from bifast.train.run import write_json
from bifast.train.series.picture import draw_speed, draw_table
from bifast.train.series.plan import Series
from bifast.train.series.summary import Spread, Table, TableRow, collect


def write_tables(series: Series, out: Path) -> Table:
    """Write `table.md`, `table.csv`, `table.json`, `table.png`, `speed.png`; returns the table.

    Processes that share a series take turns, so that the last to write has read everything.
    """
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".table.lock", lambda block: block()):
        table = collect(series, out)
        _write_text(out / "table.md", markdown(table))
        _write_text(out / "table.csv", comma_separated(table))
        write_json(out / "table.json", asdict(table))
        if any(row.seeds for row in table.rows):
            draw_table(table, out / "table.png")
        if any(row.nanoseconds for row in table.rows):
            draw_speed(table, out / "speed.png")
    return table


def _write_text(path: Path, text: str) -> None:
    def write(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_atomic(path, write)


def markdown(table: Table) -> str:
    """Return the table for a page: a row that failed, or has not run, says so."""
    depths = table.depths
    head = ["row", "seeds", *(f"{d} %" for d in depths), "drop", "from", "1-bit weights %"]
    head += ["bytes", "net ns", "train min", "engine", "by"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in table.rows:
        lines.append("| " + " | ".join(_cells(row, depths)) + " |")
    notes = [
        f"- {row.title}: not by the engine: {row.refused}" for row in table.rows if row.refused
    ]
    notes += [f"- {row.title}: failed, {error}" for row in table.rows for error in row.errors]
    notes += [f"- {row.title}, its paper: {row.paper}" for row in table.rows if row.paper]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _cells(row: TableRow, depths: list[str]) -> list[str]:
    if not row.seeds:
        told = "failed" if row.errors else "not measured" if row.trained else "not run"
        return [row.title, "0", *[told] * max(1, len(depths)), *[""] * 8]
    first = depths[0]
    return [
        row.title,
        str(len(row.seeds)),
        *(str(row.accuracy.get(d, "")) for d in depths),
        str(row.drop.get(first, "")),
        row.reference if row.drop else "",
        f"{row.one_bit:.1f}",
        str(row.size),
        str(row.nanoseconds.get(first, "")),
        f"{row.seconds / 60:.1f} {row.device}",
        row.needs,
        row.measured_by,
    ]


def comma_separated(table: Table) -> str:
    """Return one line for each row and depth."""
    text = io.StringIO()
    head = ["row", "title", "depth", "seeds", "accuracy", "deviation", "reference", "drop"]
    head += ["drop_deviation", "one_bit", "bytes", "nanoseconds", "seconds", "cpu_seconds"]
    head += ["device", "epochs", "needs"]
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
                    row.nanoseconds.get(depth, ""),
                    round(row.seconds, 1),
                    round(row.cpu_seconds, 1),
                    row.device,
                    row.epochs,
                    row.needs,
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
