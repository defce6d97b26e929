"""High-frequency enhancement distillation of BiFSMN (arXiv 2202.06483)."""

from __future__ import annotations

import torch
from torch import Tensor

from bifast.train.losses.haar import haar_high


def _rows(x: Tensor, per_sample: bool) -> Tensor:
    return x.flatten(1) if per_sample else x.reshape(1, -1)


def attention_distance(x: Tensor, y: Tensor, *, per_sample: bool = True) -> Tensor:
    """Distance of two normalised attention maps.

    Parameters
    ----------
    x, y
        [B, T, C].
    per_sample
        True normalises each sample and averages, so the value does not depend on what else is in
        the batch; False normalises the whole batch at once, as the paper's code.

    Returns
    -------
    Tensor
        Scalar in [0, sqrt 2]: || Q(x)/|Q(x)| - Q(y)/|Q(y)| || with Q the elementwise square.
    """
    maps = [
        torch.nn.functional.normalize(_rows(z, per_sample).square(), dim=1, eps=1e-12)
        for z in (x, y)
    ]
    # The norm's gradient is undefined at zero, where two maps are equal.
    return (maps[0] - maps[1]).square().sum(1).clamp_min(1e-16).sqrt().mean()


def emphasise(x: Tensor, *, per_sample: bool = True) -> Tensor:
    """Add the high band to a teacher's features [B, T, C], each divided by its deviation."""
    high = haar_high(x)
    deviations = [_rows(z, per_sample).std(1).clamp_min(1e-12) for z in (high, x)]
    shape = (-1,) + (1,) * (x.dim() - 1)
    return high / deviations[0].view(shape) + x / deviations[1].view(shape)


def hed_loss(
    student: dict[int, Tensor], teacher: dict[int, Tensor], *, per_sample: bool = True
) -> Tensor:
    """Sum the distances over the blocks that the student ran.

    Parameters
    ----------
    student
        {block: output [B, T, C]} of one depth.
    teacher
        {block: emphasised output}, with at least the same blocks.
    per_sample
        See `attention_distance`.

    Returns
    -------
    Tensor
        Scalar.
    """
    distances = [
        attention_distance(out, teacher[block], per_sample=per_sample)
        for block, out in student.items()
    ]
    return torch.stack(distances).sum()
