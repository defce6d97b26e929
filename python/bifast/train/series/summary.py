"""What the runs of a series came to: mean and spread over the seeds, drops from reference rows."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bifast.train.series.outcome import Outcome
from bifast.train.series.plan import Row, Series

PLUS_MINUS = "\u00b1"


@dataclass(frozen=True)
class Spread:
    """Mean, sample deviation (None for one value), number of values."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """Summarise; None without values."""
        if not values:
            return None
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), spread, len(values))

    def __str__(self) -> str:
        """Tell it with two digits."""
        tail = "" if self.deviation is None else f" {PLUS_MINUS} {self.deviation:.2f}"
        return f"{self.mean:.2f}{tail}"


@dataclass(frozen=True)
class TableRow:
    """One row over its seeds.

    Attributes
    ----------
    name, title, reference, paper, group
        As in the series.
    seeds, trained, errors
        Seeds that ended well; those that are trained and not measured; what the others say.
    accuracy, drop
        {depth: percent}, {depth: points below the reference row, seed by seed}.
    nanoseconds
        {depth: mean ns a clip by the engine}; empty if it can not run the net.
    size, one_bit
        Bytes, percent of weights that are one bit.
    epochs, seconds, cpu_seconds
        Training.
    device, needs, measured_by, refused
        As in `Outcome`.
    """

    name: str
    title: str
    reference: str
    paper: str
    group: str
    seeds: list[int]
    trained: list[int]
    errors: list[str]
    accuracy: dict[str, Spread]
    drop: dict[str, Spread]
    nanoseconds: dict[str, int]
    size: int
    one_bit: float
    epochs: int
    seconds: float
    cpu_seconds: float
    device: str
    needs: str
    measured_by: str
    refused: str


@dataclass(frozen=True)
class Table:
    """All rows, and the names of all depths."""

    name: str
    description: str
    depths: list[str]
    rows: list[TableRow]


def table_from_dict(values: dict[str, Any]) -> Table:
    """Build a table from what `table.json` holds."""
    rows = []
    for row in values["rows"]:
        spreads = {
            key: {depth: Spread(**spread) for depth, spread in row[key].items()}
            for key in ("accuracy", "drop")
        }
        rows.append(TableRow(**{**row, **spreads}))
    return Table(values["name"], values["description"], values["depths"], rows)


def run_folder(out: Path, row: Row, seed: int) -> Path:
    """Return the run folder of a row and seed; the rows of one seed lie beside each other."""
    return out / f"seed{seed}" / row.name


def collect(series: Series, out: Path) -> Table:
    """Read the outcomes that there are."""
    found: dict[str, list[Outcome]] = {}
    for row in series.rows:
        runs = [Outcome.load(run_folder(out, row, seed)) for seed in series.seeds]
        found[row.name] = [outcome for outcome in runs if outcome is not None]
    depths: dict[str, None] = {}
    for outcomes in found.values():
        for outcome in outcomes:
            depths |= dict.fromkeys(outcome.accuracy)
    rows = [_row(series, row, found, out) for row in series.rows]
    return Table(series.name, series.description, list(depths), rows)


def _row(series: Series, row: Row, found: dict[str, list[Outcome]], out: Path) -> TableRow:
    outcomes = found[row.name]
    good = [o for o in outcomes if not o.error]
    first = good[0] if good else Outcome(row.name, 0)
    base = {o.seed: o.accuracy for o in found.get(row.reference, []) if not o.error}
    accuracy, drop, speed = {}, {}, {}
    for depth in first.accuracy:
        accuracy[depth] = Spread.of([o.accuracy[depth] for o in good])
        # Seed by seed: what the seed does to both rows is no difference between them.
        drop[depth] = Spread.of(
            [base[o.seed][depth] - o.accuracy[depth] for o in good if depth in base.get(o.seed, {})]
        )
    for depth in first.nanoseconds:
        speed[depth] = round(statistics.fmean([o.nanoseconds[depth] for o in good]))
    told = {o.seed for o in outcomes}
    return TableRow(
        name=row.name,
        title=row.title,
        reference=row.reference,
        paper=row.paper,
        group=row.group,
        seeds=[o.seed for o in good],
        trained=[
            seed
            for seed in series.seeds
            if seed not in told and (run_folder(out, row, seed) / "result.json").exists()
        ],
        errors=[f"seed {o.seed}: {o.error}" for o in outcomes if o.error],
        accuracy={d: s for d, s in accuracy.items() if s},
        drop={d: s for d, s in drop.items() if s},
        nanoseconds=speed,
        size=first.size,
        one_bit=first.one_bit,
        epochs=first.epochs,
        seconds=statistics.fmean([o.seconds for o in good]) if good else 0.0,
        cpu_seconds=statistics.fmean([o.cpu_seconds for o in good]) if good else 0.0,
        device=first.device,
        needs=first.needs,
        measured_by=first.measured_by,
        refused=first.refused,
    )
