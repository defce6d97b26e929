"""The picture of the frontier: accuracy against bytes and against time."""

from __future__ import annotations

from pathlib import Path

from frontier_page import Result, bytes_of, frontier, time_of

from bifast.atomic import write_atomic

COLOURS = {
    "bifast": "tab:red",
    "onnxruntime FP32": "tab:blue",
    "onnxruntime int8": "tab:green",
    "LiteRT FP32": "tab:purple",
    "LiteRT int8": "tab:olive",
}


# What is this many points below the best is drawn at the bottom edge.
SHOWN = 7.0


def draw(results: list[Result], path: Path) -> None:
    """Draw accuracy against bytes (left) and time (right), each with its frontier in grey.

    The depths of a net are joined by a line; the name stands at its most accurate.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(14, 7), sharey=True)
    axes = (
        (bytes_of, "bytes of the parameters"),
        (time_of, "microseconds a clip, sound to scores"),
    )
    bottom = 100 * max(r.accuracy for r in results) - SHOWN
    for panel, (cost, label) in zip(panels, axes, strict=True):
        edge = frontier(results, cost)
        panel.step(
            [cost(r) for r in edge],
            [100 * r.accuracy for r in edge],
            where="post",
            color="0.85",
            linewidth=5,
        )
        for depths in nets(results):
            height = [max(bottom, 100 * r.accuracy) for r in depths]
            colour = COLOURS[depths[0].rival.by]
            panel.plot([cost(r) for r in depths], height, "o-", color=colour, linewidth=0.8)
            best = max(depths, key=lambda r: r.accuracy)
            text = depths[0].rival.name
            if 100 * best.accuracy < bottom:
                text += f": {100 * best.accuracy:.1f} %"
            panel.annotate(
                text,
                (cost(best), max(height)),
                (3, 5),
                textcoords="offset points",
                size=7,
                rotation=35,
                color=colour,
            )
        panel.set(xscale="log", xlabel=label, ylim=(bottom - 0.3, bottom + SHOWN + 1.5))
        panel.margins(x=0.12)
        panel.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("accuracy, %")
    for by in dict.fromkeys(r.rival.by for r in results):
        panels[0].plot([], [], "o", color=COLOURS[by], label=by)
    panels[0].legend(loc="lower left")
    figure.tight_layout()
    write_atomic(path, lambda beside: figure.savefig(beside, dpi=110))
    pyplot.close(figure)


def nets(results: list[Result]) -> list[list[Result]]:
    """Put the depths of a net together."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        groups.setdefault((r.rival.name, r.rival.by), []).append(r)
    return list(groups.values())
