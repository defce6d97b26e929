"""Frequency-independent distillation of BiFSMNv2 (arXiv 2211.06987)."""

from __future__ import annotations

from torch import Tensor

from bifast.train.losses.attention import attention_distance
from bifast.train.losses.base import FEATURE_LOSSES, FeatureLoss, MapOptions
from bifast.train.losses.haar import haar_low


def bands(x: Tensor, options: MapOptions) -> tuple[Tensor, Tensor]:
    """Split features [B, T, C] into (low, high)."""
    low = haar_low(x, time_only=options.time_only)
    return low, x - low


class Fid(FeatureLoss):
    """Low band against low band and high against high, each normalised on its own."""

    def prepare(self, teacher: Tensor, options: MapOptions) -> tuple[Tensor, ...]:
        """Return both bands."""
        return bands(teacher, options)

    def distance(
        self, student: Tensor, prepared: tuple[Tensor, ...], options: MapOptions
    ) -> Tensor:
        """Return the sum of the distances of both bands' attention maps."""
        low, high = (
            attention_distance(mine, its, per_sample=options.per_sample)
            for mine, its in zip(bands(student, options), prepared, strict=True)
        )
        return low + high


FEATURE_LOSSES.register("fid")(Fid())
