"""The loss of one batch: all depths of the student, cross entropy and distillation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bifast.train.losses import emphasise, hed_loss, logit_loss
from bifast.train.nets.base import KeywordNet
from bifast.train.recipe import Distill, Optim


def freeze(teacher: KeywordNet) -> KeywordNet:
    """Put a teacher in evaluation mode and stop its gradients; returns it."""
    teacher.eval()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def batch_loss(
    net: KeywordNet,
    features: Tensor,
    labels: Tensor,
    optim: Optim,
    distill: Distill,
    teacher: KeywordNet | None,
) -> tuple[Tensor, list[float]]:
    """Compute the loss.

    Parameters
    ----------
    net
        In training mode.
    features, labels
        [B, T, M] and [B].
    optim, distill
        Weights of the depths and of the parts.
    teacher
        Frozen, full precision; None without distillation.

    Returns
    -------
    loss
        Scalar: sum over depths of weight * (cross entropy and logit distillation in their shares,
        plus weighted feature distillation).
    accuracies
        Of this batch at each depth.
    """
    taught: Tensor | None = None
    emphasised: dict[int, Tensor] = {}
    if teacher is not None:
        with torch.no_grad():
            taught, outputs = teacher.backbone(teacher.features(features), 0)
            if distill.hed:
                emphasised = {
                    block: emphasise(out, per_sample=distill.per_sample)
                    for block, out in outputs.items()
                }
    stream = net.features(features)
    total = features.new_zeros(())
    hits = []
    for depth in range(len(net.depths)):
        logits, blocks = net.backbone(stream, depth)
        loss = functional.cross_entropy(logits, labels, label_smoothing=optim.smoothing)
        if taught is not None and distill.logits:
            softened = logit_loss(logits, taught, distill.temperature)
            loss = (1 - distill.logits) * loss + distill.logits * softened
        if emphasised:
            loss = loss + distill.hed * hed_loss(blocks, emphasised, per_sample=distill.per_sample)
        total = total + optim.depth_weights[depth] * loss
        hits.append(float((logits.detach().argmax(1) == labels).float().mean()))
    return total, hits
