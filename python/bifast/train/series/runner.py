"""Runs a series: every row of one seed, then of the next; what is finished is not run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bifast.train.build import load_net
from bifast.train.checkpoint import CheckpointError
from bifast.train.lock import lock_if_free
from bifast.train.loop import train
from bifast.train.place import HERE, Place
from bifast.train.recipe import Recipe
from bifast.train.series.outcome import Outcome, measure_run
from bifast.train.series.plan import Row, Series, row_recipe
from bifast.train.series.summary import Table, run_folder
from bifast.train.series.table import write_tables
from bifast.train.watch import Watcher

# What a call does: training may be on one machine, measuring on another.
STAGES = ("all", "train", "measure")
# Seconds between two looks at a teacher that another process trains.
_PATIENCE = 1.0


@dataclass(frozen=True)
class _Job:
    row: Row
    seed: int
    recipe: Recipe
    run: Path

    @property
    def trained(self) -> bool:
        return (self.run / "result.json").exists()


def run_series(
    series: Series,
    data: Path,
    out: Path,
    cache: Path,
    *,
    settings: list[str],
    only: list[str],
    watch: Callable[[], Watcher],
    stage: str = "all",
    place: Place = HERE,
) -> Table:
    """Run what is not finished, and write the tables after each run.

    Several processes may share a folder: each takes runs that no other has.

    Parameters
    ----------
    series
        What to run.
    data, cache
        Data folder, and folder for features.
    out
        Gets `seedN/ROW` run folders, `table.md`, `table.csv`, `table.json`, `table.png`, `speed.png`.
    settings
        Changes for every row, each `a.b=value`; they come last.
    only
        Names of the rows to run; the tables hold all.
    watch
        Makes a watcher for one run.
    stage
        Of `STAGES`: `train` measures nothing, `measure` trains nothing.
    place
        Where to train.

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
    jobs = [
        _Job(row, seed, row_recipe(series, row, seed, settings), run_folder(out, row, seed))
        for seed in series.seeds
        for row in series.rows
        if row.name in only
    ]
    todo = [job for job in jobs if not _finished(job, stage)]
    count, started = len(todo), time.time()
    table = write_tables(series, out)

    def work(job: _Job, number: int) -> None:
        with watch() as watcher:
            watcher.say(f"[{number}/{count}] {job.row.name}, seed {job.seed}")
            _run(job, data, cache, watcher, stage, place)
        write_tables(series, out)

    if todo:
        _share(todo, work, lambda job: _finished(job, stage) or _failed_since(job, started))
        table = write_tables(series, out)
    return table


def _share(
    todo: list[_Job], work: Callable[[_Job, int], None], settled: Callable[[_Job], bool]
) -> None:
    """Do every job that no other process does, a student after its teacher."""
    left = list(todo)
    while left:
        before = len(left)
        waiting = False
        for job in list(left):
            if _waits(job, left):
                waiting = True
                continue
            job.run.mkdir(parents=True, exist_ok=True)
            with lock_if_free(job.run / ".lock") as free:
                if free:
                    if not settled(job):
                        work(job, len(todo) - len(left) + 1)
                    left.remove(job)
        if len(left) == before:
            if not waiting:
                return  # all that is left is being done by others
            time.sleep(_PATIENCE)


def _waits(job: _Job, left: list[_Job]) -> bool:
    """Whether a run that this one starts from or learns from is still to come."""
    needed = {job.recipe.distill.teacher, job.recipe.optim.init} - {""}
    return any(
        other.row.name in needed and other.seed == job.seed and not other.trained
        for other in left
        if other is not job
    )


def _finished(job: _Job, stage: str) -> bool:
    """Say if there is nothing to do; `CheckpointError` if it was done under another recipe."""
    if (job.run / "final.pt").exists():
        _, trained, _ = load_net(job.run)
        if trained != job.recipe:
            raise CheckpointError(
                f"the finished run in {job.run} had other settings; choose another --out, or remove it"
            )
    if stage == "train":
        return job.trained
    if not job.trained:
        return stage == "measure"
    outcome = Outcome.load(job.run)
    return outcome is not None and not outcome.error


def _failed_since(job: _Job, started: float) -> bool:
    """Whether another process tried in vain while this one was at work."""
    told = job.run / "outcome.json"
    return told.exists() and told.stat().st_mtime > started


def _run(job: _Job, data: Path, cache: Path, watcher: Watcher, stage: str, place: Place) -> None:
    try:
        if not job.trained:
            train(job.recipe, data, job.run, cache, resume=True, watcher=watcher, place=place)
        if stage == "train":
            (job.run / "outcome.json").unlink(missing_ok=True)  # of an attempt that failed
            return
        outcome = measure_run(job.run, job.row.name, job.seed, data, cache, watcher)
    except Exception as error:  # noqa: BLE001 - whatever a binarizer of the user's own may raise
        outcome = Outcome(job.row.name, job.seed, error=f"{type(error).__name__}: {error}")
        watcher.say(f"{job.row.name}, seed {job.seed}: {outcome.error}")
    outcome.save(job.run)
