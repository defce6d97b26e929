"""The distance of two normalised attention maps, which BiFSMN's losses share (C channels, the last axis)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def rows(x: Tensor, per_sample: bool) -> Tensor:
    """Flatten to one row for each sample, or one for the batch."""
    return x.flatten(1) if per_sample else x.reshape(1, -1)


def attention_distance(x: Tensor, y: Tensor, *, per_sample: bool = True) -> Tensor:
    """Distance of two normalised attention maps.

    Parameters
    ----------
    x, y
        [B, ..., C]: [B, T, C] of sounds, [B, H, W, C] of images.
    per_sample
        See `MapOptions`; samples are averaged.

    Returns
    -------
    Tensor
        Scalar in [0, sqrt 2]: || Q(x)/|Q(x)| - Q(y)/|Q(y)| || with Q the elementwise square.
    """
    maps = [functional.normalize(rows(z, per_sample).square(), dim=1, eps=1e-12) for z in (x, y)]
    # The norm's gradient is undefined at zero, where two maps are equal.
    return (maps[0] - maps[1]).square().sum(1).clamp_min(1e-16).sqrt().mean()
