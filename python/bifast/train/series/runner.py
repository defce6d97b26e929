"""Runs a series: every row of one seed, then of the next; what is finished is not run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bifast.errors import BifastError
from bifast.train.build import load_net
from bifast.train.checkpoint import CheckpointError
from bifast.train.loop import train
from bifast.train.recipe import Recipe
from bifast.train.series.outcome import Outcome, measure_run
from bifast.train.series.plan import Row, Series, row_recipe
from bifast.train.series.summary import Table
from bifast.train.series.table import write_tables
from bifast.train.watch import Watcher


def run_folder(out: Path, row: Row, seed: int) -> Path:
    """Return the run folder of a row and seed; the rows of one seed lie beside each other."""
    return out / f"seed{seed}" / row.name


def run_series(
    series: Series,
    data: Path,
    out: Path,
    cache: Path,
    *,
    settings: list[str],
    only: list[str],
    watch: Callable[[], Watcher],
) -> Table:
    """Run what is not finished, and write the tables after each run.

    Parameters
    ----------
    series
        What to run.
    data, cache
        Data folder, and folder for features.
    out
        Gets `seedN/ROW` run folders, `table.md`, `table.csv`, `table.json`, `table.png`.
    settings
        Changes for every row, each `a.b=value`; they come last.
    only
        Names of the rows to run; the tables hold all.
    watch
        Makes a watcher for one run.

    Returns
    -------
    Table
        Of everything. A row that failed says why, and the others go on.

    Raises
    ------
    RecipeError
        Before any run, if the recipe of a row can not be used.
    CheckpointError
        Before any run, if a finished run in `out` had other settings.
    """
    plans = [
        (row, seed, row_recipe(series, row, seed, settings))
        for seed in series.seeds
        for row in series.rows
        if row.name in only
    ]
    todo = []
    for row, seed, recipe in plans:
        if not _finished(run_folder(out, row, seed), recipe):
            todo.append((row, seed, recipe))
    table = write_tables(series, out)
    for number, (row, seed, recipe) in enumerate(todo, 1):
        with watch() as watcher:
            watcher.say(f"[{number}/{len(todo)}] {row.name}, seed {seed}")
            _run(row, seed, recipe, data, run_folder(out, row, seed), cache, watcher)
        table = write_tables(series, out)
    return table


def _finished(run: Path, recipe: Recipe) -> bool:
    """Say if a run is trained and measured; `CheckpointError` if under another recipe."""
    if not (run / "final.pt").exists():
        return False
    _, trained, _ = load_net(run)
    if trained != recipe:
        raise CheckpointError(
            f"the finished run in {run} had other settings; choose another --out, or remove it"
        )
    outcome = Outcome.load(run)
    return outcome is not None and not outcome.error


def _run(
    row: Row, seed: int, recipe: Recipe, data: Path, run: Path, cache: Path, watcher: Watcher
) -> None:
    try:
        if not (run / "result.json").exists():
            train(recipe, data, run, cache, resume=True, watcher=watcher)
        outcome = measure_run(run, row.name, seed, data, cache, watcher)
    except (BifastError, RuntimeError, ValueError, OSError) as error:
        outcome = Outcome(row.name, seed, error=f"{type(error).__name__}: {error}")
        watcher.say(f"{row.name}, seed {seed}: {outcome.error}")
    outcome.save(run)
