"""The training loop: data, epochs, checkpoints, calibration, test."""

from __future__ import annotations

import dataclasses
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bifast.train.average import Average
from bifast.train.batches import Batch, Stock
from bifast.train.blame import blame
from bifast.train.build import build_net
from bifast.train.calibrate import calibrate
from bifast.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from bifast.train.data.features import Split
from bifast.train.data.source import Source, open_task, read_split
from bifast.train.data.task import Task
from bifast.train.memory import keep_freed_memory
from bifast.train.nets import Net
from bifast.train.objective import batch_loss, class_prior, scores_are_fixed
from bifast.train.optimizer import make_optimizer
from bifast.train.place import HERE, Place
from bifast.train.recipe import Recipe, RecipeError, recipe_from_dict
from bifast.train.run import draw_curves, write_config, write_json, write_metrics
from bifast.train.sanity import check_recipe, check_split
from bifast.train.schedule import rate_at
from bifast.train.scoring import accuracies
from bifast.train.teach import load_finished, load_teacher, teacher_scores
from bifast.train.watch import Watcher

# Seconds between two drawings of the curves: an epoch may take less than a drawing.
_REDRAW = 15.0


class TrainingDivergedError(RuntimeError):
    """The loss is not finite: names the step, the clips and the last good checkpoint."""


@dataclass
class _Lesson:
    stock: Stock
    teacher: Net | None
    prior: torch.Tensor | None


@dataclass
class _State:
    net: Net
    optimizer: torch.optim.Optimizer
    epoch: int
    history: list[dict[str, float]]
    place: Place
    average: Average | None = None
    # Spent on training epochs: by the clock, and of the processor.
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def measured(self) -> AbstractContextManager[None]:
        """Put the average of the weights into the net while it is measured, if there is one."""
        return self.average.inside(self.net) if self.average else nullcontext()


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    cache: Path,
    *,
    resume: bool,
    watcher: Watcher,
    place: Place = HERE,
) -> dict[str, float]:
    """Train a net.

    Parameters
    ----------
    recipe
        What to do.
    data
        The data folder.
    out
        The run folder: `last.pt` after each epoch, `final.pt` at the end, `config.json`,
        `metrics.csv`, `curves.png`, `result.json`.
    cache
        Folder for features.
    resume
        Go on from `last.pt` if there is one. The order of the clips and the random numbers are
        functions of seed and epoch, so on one thread the result is the same, bit for bit.
    watcher
        Told about everything.
    place
        The device, and this process among several; each is called with the same arguments.

    Returns
    -------
    dict
        Accuracy on the test split for each depth, 0 .. 1; empty in processes but the first.

    Raises
    ------
    RecipeError, ValueError, OSError
        Before any epoch, if recipe, data or checkpoint can not be used.
    TrainingDivergedError
        If the loss or its gradient becomes NaN or infinite.
    """
    keep_freed_memory()
    check_recipe(recipe)
    if recipe.optim.batch % place.world:
        raise RecipeError(
            f"optim.batch: {place.world} processes can not share {recipe.optim.batch} clips equally"
        )
    task, source = open_task(recipe.data.task, data)
    teacher = load_teacher(recipe, task.labels, out)
    if teacher is not None:
        teacher.to(place.device)
    state = _start(recipe, task, out, resume, place)
    splits = load_splits(recipe, task, source, cache, watcher)
    check_split(task, splits["training"], "training", recipe.optim.batch)
    for name in ("validation", "testing"):
        check_split(task, splits[name], name)
    if place.first:
        out.mkdir(parents=True, exist_ok=True)
        write_config(out, recipe, splits, source.skipped, place)
    prior = class_prior(splits["training"], len(task.labels), recipe.optim.balance)
    prior = prior if prior is None else prior.to(place.device)
    taught = None
    if teacher is not None and scores_are_fixed(recipe.distill) and recipe.data.crops.nothing:
        taught = teacher_scores(teacher, splits["training"], watcher)
    stock = Stock.of(splits["training"], place.device, taught)
    lesson = _Lesson(stock, teacher, prior)
    steps = int(splits["training"].repeats.sum()) // recipe.optim.batch
    watcher.start(steps * recipe.optim.epochs, steps * state.epoch)
    drawn = -math.inf
    while state.epoch < recipe.optim.epochs:
        clock, cpu = time.perf_counter(), time.process_time()
        loss = place.mean_number(_run_epoch(recipe, state, lesson, steps, out, watcher))
        place.mean_statistics(state.net)
        state.seconds += time.perf_counter() - clock
        state.cpu_seconds += time.process_time() - cpu
        state.epoch += 1
        if not place.first:
            continue
        with state.measured():
            scores = accuracies(state.net, splits["validation"])
        row = {"epoch": state.epoch, "loss": loss}
        row |= {f"validation_{depth}": value for depth, value in scores.items()}
        state.history.append(row)
        _save(recipe, task, state, out / "last.pt", finished=False)
        write_metrics(out, state.history)
        if state.epoch == recipe.optim.epochs or time.monotonic() - drawn > _REDRAW:
            draw_curves(out, state.history)
            drawn = time.monotonic()
        watcher.epoch(row)
    return _finish(recipe, task, state, splits, out) if place.first else {}


def load_splits(
    recipe: Recipe, task: Task, source: Source, cache: Path, watcher: Watcher
) -> dict[str, Split]:
    """Return what a net sees of training, validation and testing; names clips that are left out."""
    splits = {}
    _tell_left_out(watcher, "data folder", source.skipped)
    for name in ("training", "validation", "testing"):
        split = read_split(source, task, name, recipe, cache, watcher.track)
        _tell_left_out(watcher, name, split.broken)
        splits[name] = split
    return splits


def _tell_left_out(watcher: Watcher, where: str, clips: list[str]) -> None:
    if clips:
        more = f"; and {len(clips) - 5} more, all in config.json" if len(clips) > 5 else ""
        watcher.say(f"{where}: left out {len(clips)} clips: {'; '.join(clips[:5])}{more}")


def _start(recipe: Recipe, task: Task, out: Path, resume: bool, place: Place) -> _State:
    torch.manual_seed(recipe.seed)
    net = build_net(recipe, len(task.labels)).to(place.device)
    optimizer = make_optimizer(net, recipe.optim)
    last = out / "last.pt"
    if not (resume and last.exists()):
        if recipe.optim.init:
            source = load_finished(recipe.optim.init, recipe, task.labels, out)
            _copy_weights(source, net, recipe.optim.init)
        return _State(net, optimizer, 0, [], place, _average(net, recipe))
    state = load_checkpoint(last)
    # Through the dataclasses, so that a checkpoint from before a key existed has the key's default.
    if recipe_from_dict(state["recipe"]) != recipe:
        raise CheckpointError(
            f"{last} is of another recipe; give the same settings, another --out, or --no-resume"
        )
    if tuple(state["labels"]) != task.labels:
        raise CheckpointError(f"{last} has the labels {state['labels']}, the data {task.labels}")
    try:
        net.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:  # of another version, or final.pt renamed
        raise CheckpointError(f"{last} does not fit its net: {error}; try --no-resume") from None
    average = _average(net, recipe)
    if average is not None:
        average.load(state["average"])
    spent = {key: state.get(key, 0.0) for key in ("seconds", "cpu_seconds")}
    return _State(net, optimizer, state["epoch"], state["history"], place, average, **spent)


def _average(net: Net, recipe: Recipe) -> Average | None:
    return Average(net, recipe.optim.ema) if recipe.optim.ema else None


def _copy_weights(source: Net, net: Net, name: str) -> None:
    weights = source.state_dict()
    # Ranges of bytes are found in training.
    ranges = {key: value for key, value in net.state_dict().items() if ".bytes." in key}
    try:
        net.load_state_dict(ranges | weights)
    except RuntimeError as error:
        raise CheckpointError(f"optim.init: the weights of {name} do not fit: {error}") from None


def _run_epoch(
    recipe: Recipe,
    state: _State,
    lesson: _Lesson,
    steps: int,
    out: Path,
    watcher: Watcher,
) -> float:
    """Run one epoch; returns the mean loss."""
    optim, net, place = recipe.optim, state.net, state.place
    torch.manual_seed(recipe.seed * 100_003 + state.epoch + 1 + 1_000_003 * place.rank)
    net.train()
    net.set_progress(state.epoch / optim.epochs)
    total, smooth = 0.0, [0.0] * (1 + len(net.depths))
    for number, whole in enumerate(
        lesson.stock.batches(optim.batch, recipe.seed, state.epoch, recipe.data)
    ):
        batch = whole.share(place.rank, place.world)
        step = state.epoch * steps + number
        factor = rate_at(step, steps * optim.epochs, round(steps * optim.warmup))
        for group in state.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        loss, hits = batch_loss(net, batch, optim, recipe.distill, lesson.teacher, lesson.prior)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        place.mean_gradients(net)
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), optim.clip)
        # One wait for the device a step.
        value, size, *shares = torch.cat([torch.stack([loss.detach(), norm]), hits]).tolist()
        for what, measured in (("loss", value), ("gradient", size)):
            if not math.isfinite(measured):
                what = f"{what} is {measured} at step {step} (epoch {state.epoch + 1})"
                if math.isfinite(value):
                    again = batch_loss(
                        net, batch, optim, recipe.distill, lesson.teacher, lesson.prior
                    )
                    what += blame(net, again[0])
                raise _diverged(what, step, batch, lesson.stock.split, out)
        state.optimizer.step()
        net.project()
        if state.average is not None:
            state.average.update(net, step)
        total += value
        keep = min(0.98, number / (number + 1))
        smooth = [keep * s + (1 - keep) * v for s, v in zip(smooth, [value, *shares], strict=True)]
        watcher.step(state.epoch + 1, smooth[0], smooth[1:])
    return total / steps


def _diverged(what: str, step: int, batch: Batch, split: Split, out: Path) -> TrainingDivergedError:
    """Write the step and its clips to `diverged.json` and return the error that tells of them."""
    clips = [split.names[clip] for clip in batch.clips]
    write_json(out / "diverged.json", {"what": what, "step": step, "clips": clips})
    last = out / "last.pt"
    good = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
    return TrainingDivergedError(
        f"{what}, clips {', '.join(clips[:3])} ... "
        f"({len(clips)}, all in {out / 'diverged.json'}); {good}; try a smaller optim.lr"
    )


def _save(recipe: Recipe, task: Task, state: _State, path: Path, *, finished: bool) -> None:
    contents: dict[str, Any] = {
        "recipe": dataclasses.asdict(recipe),
        "labels": list(task.labels),
        "epoch": state.epoch,
        "history": state.history,
        "seconds": state.seconds,
        "cpu_seconds": state.cpu_seconds,
        "finished": finished,
        "model": state.net.state_dict(),
    }
    if not finished:
        contents["optimizer"] = state.optimizer.state_dict()
        if state.average is not None:
            contents["average"] = state.average.values
    save_checkpoint(path, contents)


def _finish(
    recipe: Recipe, task: Task, state: _State, splits: dict[str, Split], out: Path
) -> dict[str, float]:
    """Round the tables, calibrate, test, and write `final.pt` and `result.json`."""
    net = state.net
    if state.average is not None:
        net.load_state_dict(state.average.values)
    net.round_tables()
    if not recipe.net.dropout and recipe.net.statistics == "depth":
        calibrate(net, splits["training"])
    _save(recipe, task, state, out / "final.pt", finished=True)
    result = accuracies(net, splits["testing"])
    told = {"testing": result, "epochs": state.epoch}
    told |= {"seconds": round(state.seconds, 1), "cpu_seconds": round(state.cpu_seconds, 1)}
    write_json(out / "result.json", told)
    return result
