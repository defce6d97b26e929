"""Checks before the first epoch: what is wrong with a recipe or its data is said at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from bifast.errors import FormatError
from bifast.format import FRONTEND_PAPER
from bifast.format.checks import check_frontend
from bifast.train.binarizers import BINARIZERS
from bifast.train.data import TASKS
from bifast.train.data.features import Split
from bifast.train.data.spec import data_rules
from bifast.train.data.task import Task
from bifast.train.nets import NETS
from bifast.train.nets.base import DEPTH_NAMES
from bifast.train.objective import feature_weights
from bifast.train.recipe import Recipe, RecipeError
from bifast.train.registry import Registry


def check_recipe(recipe: Recipe) -> None:
    """Raise `RecipeError` if a value is out of range, `ValueError` if a name is not known."""
    names: list[tuple[Registry[Any], str]] = [
        (TASKS, recipe.data.task),
        (NETS, recipe.net.name),
        (BINARIZERS, recipe.net.binarizer),
        (BINARIZERS, recipe.distill.teacher_binarizer),
    ]
    for registry, name in names:
        if name:
            registry[name]
    task, net = TASKS[recipe.data.task], NETS[recipe.net.name]
    o, d, n, f = recipe.optim, recipe.distill, recipe.net, recipe.frontend
    second = (FRONTEND_PAPER.sample_rate, FRONTEND_PAPER.window_samples)
    clip = (f.sample_rate, f.window_samples)
    rules = [
        (
            net.takes == task.takes,
            f"net.name: {n.name} takes {net.takes}, and the examples of task {task.name} are {task.takes}",
        ),
        (1 <= n.depths <= len(DEPTH_NAMES), f"net.depths: expected 1 .. 4, got {n.depths}"),
        (
            n.blocks >= 1 and n.blocks % 2 ** (n.depths - 1) == 0,
            f"net.blocks: {n.blocks} can not be halved for {n.depths} depths",
        ),
        (n.ends in ("full", "int8"), f"net.ends: expected full or int8: {n.ends!r}"),
        (
            n.ends == "full" or net.byte_ends,
            f"net.ends: the first and last layer of {n.name} are real; expected full, got {n.ends}",
        ),
        (n.slopes in ("layer", "channel"), f"net.slopes: expected layer or channel: {n.slopes!r}"),
        (
            n.statistics in ("depth", "shared"),
            f"net.statistics: expected depth or shared: {n.statistics!r}",
        ),
        (0 <= n.dropout < 1, f"net.dropout: expected 0 .. 1, got {n.dropout}"),
        (o.epochs >= 1, f"optim.epochs: expected at least 1, got {o.epochs}"),
        (o.batch >= 2, f"optim.batch: expected at least 2, got {o.batch}"),
        (o.lr > 0, f"optim.lr: expected above 0, got {o.lr}"),
        (
            o.algorithm in ("adamw", "sgd"),
            f"optim.algorithm: expected adamw or sgd, got {o.algorithm!r}",
        ),
        (0 <= o.momentum < 1, f"optim.momentum: expected 0 .. 1, got {o.momentum}"),
        (0 <= o.ema < 1, f"optim.ema: expected 0 .. 1, got {o.ema}"),
        (o.clip > 0, f"optim.clip: expected above 0, got {o.clip}"),
        (
            len(o.depth_weights) >= n.depths,
            f"optim.depth_weights: {len(o.depth_weights)} weights for {n.depths} depths",
        ),
        (0 <= d.logits <= 1, f"distill.logits: expected 0 .. 1, got {d.logits}"),
        (0 <= d.in_place <= 1, f"distill.in_place: expected 0 .. 1, got {d.in_place}"),
        (d.temperature > 0, f"distill.temperature: expected above 0, got {d.temperature}"),
        (d.haar in ("patch", "time"), f"distill.haar: expected patch or time: {d.haar!r}"),
        (
            d.teacher_mode in ("eval", "train"),
            f"distill.teacher_mode: expected eval or train: {d.teacher_mode!r}",
        ),
        (
            bool(d.teacher) or not (d.logits or d.mse or feature_weights(d)),
            "distill.teacher: distillation needs a teacher (all of [distill] but in_place)",
        ),
        (0 <= o.balance <= 1, f"optim.balance: expected 0 .. 1, got {o.balance}"),
        (clip == second, f"frontend: clips are {second[1]} samples at {second[0]} Hz, got {clip}"),
        *data_rules(recipe.data),
    ]
    for fine, message in rules:
        if not fine:
            raise RecipeError(message)
    try:
        check_frontend(f)
    except FormatError as error:
        raise RecipeError(f"frontend: {error}") from None


def check_split(task: Task, split: Split, name: str, batch: int = 1) -> None:
    """Raise `ValueError` if the features of a split can not be trained on or measured with."""
    if np.unique(split.labels).size < 2:
        raise ValueError(f"{name} split of {task.name}: only one class has clips")
    if int(split.repeats.sum()) < batch:
        raise ValueError(
            f"{name} split of {task.name}: {split.repeats.sum()} clips are less than one batch of "
            f"{batch}; set optim.batch"
        )
    if not np.isfinite(split.features).all():
        raise ValueError(f"{name} split of {task.name}: features are not finite")
    missing = [n for k, n in enumerate(task.labels) if not (split.labels == k).any()]
    if name == "training" and missing:
        raise ValueError(f"training split of {task.name}: no clips for {', '.join(missing)}")
