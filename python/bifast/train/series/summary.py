"""What the runs of a series came to: mean and spread over the seeds, drops from reference rows."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

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
    name, title, reference
        As in the series.
    seeds, errors
        Seeds that ended well; what the others say.
    accuracy, drop
        {depth: percent}, {depth: points below the reference row, seed by seed}.
    milliseconds
        {depth: mean ms a clip by the engine}; empty if it can not run the net.
    size, one_bit
        Bytes, percent of weights that are one bit.
    epochs, cpu_seconds
        Training.
    measured_by, refused
        As in `Outcome`.
    """

    name: str
    title: str
    reference: str
    seeds: list[int]
    errors: list[str]
    accuracy: dict[str, Spread]
    drop: dict[str, Spread]
    milliseconds: dict[str, float]
    size: int
    one_bit: float
    epochs: int
    cpu_seconds: float
    measured_by: str
    refused: str


@dataclass(frozen=True)
class Table:
    """All rows, and the names of all depths."""

    name: str
    description: str
    depths: list[str]
    rows: list[TableRow]


def collect(series: Series, out: Path) -> Table:
    """Read the outcomes that there are."""
    found: dict[str, list[Outcome]] = {}
    for row in series.rows:
        runs = [out / f"seed{seed}" / row.name for seed in series.seeds]
        found[row.name] = [o for o in map(Outcome.load, runs) if o is not None]
    depths: dict[str, None] = {}
    for outcomes in found.values():
        for outcome in outcomes:
            depths |= dict.fromkeys(outcome.accuracy)
    rows = [_row(row, found[row.name], found.get(row.reference, [])) for row in series.rows]
    return Table(series.name, series.description, list(depths), rows)


def _row(row: Row, outcomes: list[Outcome], reference: list[Outcome]) -> TableRow:
    good = [o for o in outcomes if not o.error]
    first = good[0] if good else Outcome(row.name, 0)
    base = {o.seed: o.accuracy for o in reference if not o.error}
    accuracy, drop, speed = {}, {}, {}
    for depth in first.accuracy:
        accuracy[depth] = Spread.of([o.accuracy[depth] for o in good])
        # Seed by seed: what the seed does to both rows is no difference between them.
        drop[depth] = Spread.of(
            [base[o.seed][depth] - o.accuracy[depth] for o in good if depth in base.get(o.seed, {})]
        )
    for depth in first.milliseconds:
        speed[depth] = statistics.fmean([o.milliseconds[depth] for o in good])
    return TableRow(
        name=row.name,
        title=row.title,
        reference=row.reference,
        seeds=[o.seed for o in good],
        errors=[f"seed {o.seed}: {o.error}" for o in outcomes if o.error],
        accuracy={d: s for d, s in accuracy.items() if s},
        drop={d: s for d, s in drop.items() if s},
        milliseconds=speed,
        size=first.size,
        one_bit=first.one_bit,
        epochs=first.epochs,
        cpu_seconds=statistics.fmean([o.cpu_seconds for o in good]) if good else 0.0,
        measured_by=first.measured_by,
        refused=first.refused,
    )
