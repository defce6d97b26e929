"""Representation-aligned distillation after DIR-Net (arXiv 2109.12338)."""

from __future__ import annotations

from torch import Tensor

from bifast.train.losses.attention import attention_distance
from bifast.train.losses.base import FEATURE_LOSSES, FeatureLoss, MapOptions


class Rbd(FeatureLoss):
    """Attention maps divided by their norms, Euclidean distance, without a wavelet.

    For streams of sounds [B, T, C] and of images [B, H, W, C] alike: every element counts at its place. The
    paper's exact form and weight were not at hand; this is the form that the same group's released code of
    BiFSMN has, and the weights of the recipes are ours.
    """

    def prepare(self, teacher: Tensor, options: MapOptions) -> tuple[Tensor, ...]:
        """Return the map itself."""
        return (teacher,)

    def distance(
        self, student: Tensor, prepared: tuple[Tensor, ...], options: MapOptions
    ) -> Tensor:
        """Return the distance of the attention maps."""
        return attention_distance(student, prepared[0], per_sample=options.per_sample)


FEATURE_LOSSES.register("rbd")(Rbd())
