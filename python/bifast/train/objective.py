"""The loss of one batch: all depths of the student, cross entropy and distillation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bifast.train.batches import Batch
from bifast.train.data.features import Split
from bifast.train.losses import emphasise, hed_loss, logit_loss
from bifast.train.nets.base import KeywordNet
from bifast.train.recipe import Distill, Optim


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
    net: KeywordNet,
    batch: Batch,
    optim: Optim,
    distill: Distill,
    teacher: KeywordNet | None = None,
    prior: Tensor | None = None,
) -> tuple[Tensor, list[float]]:
    """Compute the loss.

    Parameters
    ----------
    net
        In training mode.
    batch
        Clips, with the teacher's logits if `distill.logits` is not zero.
    optim, distill
        Weights of the depths and of the parts.
    teacher
        Frozen, full precision; needed where `distill.hed` is not zero.
    prior
        [K] log shares of the classes in training, added to the scores that the cross entropy sees,
        or None: the net learns scores as if all classes were equally frequent (logit adjustment,
        arXiv 2007.07314, eq. 10).

    Returns
    -------
    loss
        Scalar: sum over depths of weight * (cross entropy and logit distillation in their shares,
        plus weighted feature distillation).
    accuracies
        Of this batch at each depth.
    """
    emphasised = _teacher_features(teacher, batch, distill) if teacher and distill.hed else {}
    stream = net.features(batch.features)
    total = batch.features.new_zeros(())
    hits = []
    for depth in range(len(net.depths)):
        logits, blocks = net.backbone(stream, depth)
        scores = logits if prior is None else logits + prior
        loss = functional.cross_entropy(scores, batch.labels, label_smoothing=optim.smoothing)
        if batch.taught is not None and distill.logits:
            softened = logit_loss(logits, batch.taught, distill.temperature)
            loss = (1 - distill.logits) * loss + distill.logits * softened
        if emphasised:
            loss = loss + distill.hed * hed_loss(blocks, emphasised, per_sample=distill.per_sample)
        total = total + optim.depth_weights[depth] * loss
        hits.append(float((logits.detach().argmax(1) == batch.labels).float().mean()))
    return total, hits


@torch.no_grad()
def _teacher_features(teacher: KeywordNet, batch: Batch, distill: Distill) -> dict[int, Tensor]:
    _, outputs = teacher.backbone(teacher.features(batch.features), 0)
    return {block: emphasise(out, per_sample=distill.per_sample) for block, out in outputs.items()}
