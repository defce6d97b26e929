"""The loss of one batch: all depths of the student, cross entropy and distillation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bifast.train.batches import Batch
from bifast.train.data.features import Split
from bifast.train.losses import FEATURE_LOSSES, MapOptions, logit_loss
from bifast.train.nets.base import Net
from bifast.train.recipe import Distill, Optim


@dataclass(frozen=True)
class _Lesson:
    """What the teacher says about a batch.

    `scores` are its logits [B, K] or None; `maps` has {block: maps} for each loss on features.
    """

    scores: Tensor | None
    maps: dict[str, dict[int, tuple[Tensor, ...]]]


def feature_weights(distill: Distill) -> dict[str, float]:
    """Return {name: weight} of the losses on features that a recipe wants."""
    weights = {name: float(getattr(distill, name)) for name in FEATURE_LOSSES}
    return {name: weight for name, weight in weights.items() if weight}


def scores_are_fixed(distill: Distill) -> bool:
    """Say if the teacher's scores matter and are a function of the clip alone."""
    return bool(distill.logits or distill.mse) and distill.teacher_mode == "eval"


def class_prior(split: Split, classes: int, balance: float) -> Tensor | None:
    """Return `balance` times the log shares of the classes among an epoch's draws, [K], or None.

    Parameters
    ----------
    split
        The training split.
    classes
        K; a class without clips counts as if it had one.
    balance
        0 gives None: no correction.
    """
    if not balance:
        return None
    draws = np.bincount(split.labels, weights=split.repeats, minlength=classes)
    shares = np.maximum(draws, 1) / draws.sum()
    return torch.from_numpy(balance * np.log(shares)).float()


def batch_loss(
    net: Net,
    batch: Batch,
    optim: Optim,
    distill: Distill,
    teacher: Net | None = None,
    prior: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the loss.

    Parameters
    ----------
    net
        In training mode.
    batch
        Clips; with the teacher's logits where they are known.
    optim, distill
        Weights of the depths and of the parts.
    teacher
        Frozen; asked for what the batch does not hold.
    prior
        [K] log shares of the classes in training, added to the scores that the cross entropy sees,
        or None: the net learns scores as if all classes were equally frequent (logit adjustment,
        arXiv 2007.07314, eq. 10).

    Returns
    -------
    loss
        Scalar: sum over depths of weight * (cross entropy and distillation of scores in their
        shares, plus weighted distillation of scores and features), and what binarizers add.
    accuracies
        [depths]: the share of this batch that is right at each.
    """
    lesson = _listen(teacher, batch, distill)
    stream = net.features(batch.features)
    total = batch.features.new_zeros(())
    deepest: Tensor | None = None
    hits = []
    for depth in range(len(net.depths)):
        logits, blocks = net.backbone(stream, depth)
        scores = logits if prior is None else logits + prior
        loss = functional.cross_entropy(scores, batch.labels, label_smoothing=optim.smoothing)
        loss = _distil(loss, logits, blocks, lesson, distill)
        if deepest is None:
            deepest = logits.detach()
        elif distill.in_place:
            softened = logit_loss(logits, deepest, distill.temperature)
            loss = (1 - distill.in_place) * loss + distill.in_place * softened
        total = total + optim.depth_weights[depth] * loss
        hits.append((logits.detach().argmax(1) == batch.labels).float().mean())
    penalty = net.penalty()
    return total if penalty is None else total + penalty, torch.stack(hits)


def _distil(
    loss: Tensor, logits: Tensor, blocks: dict[int, Tensor], lesson: _Lesson, distill: Distill
) -> Tensor:
    """Add to the loss of one depth what the teacher says."""
    if lesson.scores is not None:
        if distill.logits:
            softened = logit_loss(logits, lesson.scores, distill.temperature)
            loss = (1 - distill.logits) * loss + distill.logits * softened
        if distill.mse:
            loss = loss + distill.mse * functional.mse_loss(logits, lesson.scores)
    options = _options(distill)
    for name, maps in lesson.maps.items():
        distance = FEATURE_LOSSES[name].total(blocks, maps, options)
        loss = loss + getattr(distill, name) * distance
    return loss


def _options(distill: Distill) -> MapOptions:
    return MapOptions(per_sample=distill.per_sample, time_only=distill.haar == "time")


@torch.no_grad()
def _listen(teacher: Net | None, batch: Batch, distill: Distill) -> _Lesson:
    """Ask the teacher, once for all depths, for what the batch does not hold already."""
    names = list(feature_weights(distill))
    asked = bool(names) or (batch.taught is None and bool(distill.logits or distill.mse))
    if teacher is None or not asked:
        return _Lesson(batch.taught, {})
    scores, blocks = teacher.backbone(teacher.features(batch.features), 0)
    options = _options(distill)
    maps = {
        name: {i: FEATURE_LOSSES[name].prepare(out, options) for i, out in blocks.items()}
        for name in names
    }
    return _Lesson(scores if batch.taught is None else batch.taught, maps)
