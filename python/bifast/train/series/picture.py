"""The pictures of a series: accuracy of each row and depth with its spread; accuracy against time."""

from __future__ import annotations

from pathlib import Path

from bifast.atomic import write_atomic
from bifast.train.series.summary import Table

_MARKERS = "osD^v"


def draw_table(table: Table, path: Path) -> None:
    """Draw one line of points for each row that has run, in the order of the table."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in table.rows if row.seeds]
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.32 * len(rows)))
    for number, depth in enumerate(table.depths):
        found = [(y, row.accuracy[depth]) for y, row in enumerate(rows) if depth in row.accuracy]
        axes.errorbar(
            [spread.mean for _, spread in found],
            [y for y, _ in found],
            xerr=[spread.deviation or 0.0 for _, spread in found],
            fmt=_MARKERS[number % len(_MARKERS)],
            label=depth,
            markersize=5,
            capsize=2,
        )
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="accuracy on the test split, %")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    figure.tight_layout()
    write_atomic(path, lambda beside: figure.savefig(beside, dpi=120))
    pyplot.close(figure)


def draw_speed(table: Table, path: Path) -> None:
    """Draw accuracy against the net's time in the engine: a line a row, a point a depth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6))
    colours = pyplot.get_cmap("turbo")
    rows = [row for row in table.rows if row.nanoseconds]
    for number, row in enumerate(rows):
        depths = [depth for depth in table.depths if depth in row.nanoseconds]
        axes.plot(
            [row.nanoseconds[depth] / 1000 for depth in depths],
            [row.accuracy[depth].mean for depth in depths],
            marker=_MARKERS[number % len(_MARKERS)],
            color=colours(number / max(1, len(rows) - 1)),
            label=row.title,
            markersize=5,
            linewidth=0.8,
        )
    axes.set(xlabel="net in the engine, us a clip", ylabel="accuracy on the test split, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.tight_layout()
    write_atomic(path, lambda beside: figure.savefig(beside, dpi=120))
    pyplot.close(figure)
