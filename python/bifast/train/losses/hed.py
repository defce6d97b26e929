"""High-frequency enhancement distillation of BiFSMN (arXiv 2202.06483)."""

from __future__ import annotations

from torch import Tensor

from bifast.train.losses.attention import attention_distance, rows
from bifast.train.losses.base import FEATURE_LOSSES, FeatureLoss, MapOptions
from bifast.train.losses.haar import haar_high


def emphasise(x: Tensor, options: MapOptions) -> Tensor:
    """Add the high band to a teacher's features [B, T, C], each divided by its deviation."""
    high = haar_high(x, time_only=options.time_only)
    deviations = [rows(z, options.per_sample).std(1).clamp_min(1e-12) for z in (high, x)]
    shape = (-1,) + (1,) * (x.dim() - 1)
    return high / deviations[0].view(shape) + x / deviations[1].view(shape)


class Hed(FeatureLoss):
    """The teacher's map with its high band emphasised; the student's as it is."""

    def prepare(self, teacher: Tensor, options: MapOptions) -> tuple[Tensor, ...]:
        """Return the emphasised map."""
        return (emphasise(teacher, options),)

    def distance(
        self, student: Tensor, prepared: tuple[Tensor, ...], options: MapOptions
    ) -> Tensor:
        """Return the distance of the attention maps."""
        return attention_distance(student, prepared[0], per_sample=options.per_sample)


FEATURE_LOSSES.register("hed")(Hed())
