"""The teacher: found beside the run, frozen, and its answers to every clip computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bifast.train.build import load_net
from bifast.train.checkpoint import CheckpointError
from bifast.train.data.features import Split
from bifast.train.nets import Net
from bifast.train.place import device_of
from bifast.train.recipe import Recipe
from bifast.train.watch import Watcher

_BATCH = 1024


def load_teacher(recipe: Recipe, labels: tuple[str, ...], out: Path) -> Net | None:
    """Return the frozen teacher that a recipe wants, or None; see `load_finished`."""
    distill = recipe.distill
    if not distill.teacher:
        return None
    teacher = load_finished(distill.teacher, recipe, labels, out, distill.teacher_binarizer)
    return freeze(teacher, training=distill.teacher_mode == "train")


def freeze(teacher: Net, *, training: bool = False) -> Net:
    """Stop a teacher's gradients and put it in evaluation mode; returns it.

    In training mode, as in the papers' code, it drops values and normalises by the batch.
    """
    teacher.train(training)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def load_finished(
    wanted: str, recipe: Recipe, labels: tuple[str, ...], out: Path, binarizer: str = ""
) -> Net:
    """Find the net of the finished run called `wanted` beside the run folder `out`, or at a path.

    It will see the features of `recipe` and its task's labels; `out` is the run folder. Its weights
    run under `binarizer`, where that is not empty.

    Raises
    ------
    FileNotFoundError
        If there is none; says how to train it.
    CheckpointError
        If it is not finished, has other labels than the recipe's task, or another front-end.
    """
    path = Path(wanted) if "/" in wanted else out.parent / wanted
    try:
        net, trained, state = load_net(path, binarizer)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no net in {path}; train it first: bifast train {path.name} --out {path}"
        ) from None
    if not state["finished"]:
        raise CheckpointError(f"the net in {path} has not finished its training")
    if tuple(state["labels"]) != labels:
        raise CheckpointError(f"the net in {path} has other labels than task {recipe.data.task}")
    if trained.frontend != recipe.frontend:
        raise CheckpointError(f"the net in {path} was trained with another front-end")
    return net


@torch.no_grad()
def teacher_scores(teacher: Net, split: Split, watcher: Watcher) -> NDArray[np.float32]:
    """Return the teacher's logits [N, V, K] of every variant of every clip.

    The variants are fixed, so answering once costs less than one epoch in ten, where a teacher in
    the loop costs a fifth of every epoch.
    """
    count, variants = split.features.shape[:2]
    flat = split.features.reshape(count * variants, *split.features.shape[2:])
    out = np.empty((count * variants, teacher.classes), np.float32)
    for start in watcher.track(range(0, flat.shape[0], _BATCH), "teacher"):
        features = torch.from_numpy(flat[start : start + _BATCH].astype(np.float32))
        out[start : start + _BATCH] = teacher(features.to(device_of(teacher))).cpu().numpy()
    return out.reshape(count, variants, teacher.classes)
