"""Distillation of class scores (arXiv 1503.02531)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def logit_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of softened scores, times the squared temperature.

    Parameters
    ----------
    student, teacher
        [B, K] logits.
    temperature
        Above 1 softens; the square keeps the gradient's size.

    Returns
    -------
    Tensor
        Scalar, mean over the batch.
    """
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, 1),
        functional.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2
