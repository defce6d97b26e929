"""What a loss on features is: maps of the teacher prepared once, a distance for each block."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bifast.train.registry import Registry


@dataclass(frozen=True)
class MapOptions:
    """How maps [B, T, C] are taken.

    Attributes
    ----------
    per_sample
        True normalises each sample, so that a value does not depend on what else is in the batch;
        False the whole batch at once, as the papers' code.
    time_only
        True takes the wavelet over time alone; False over patches of time and channel, as the
        papers' code, although neighbouring channels are no neighbours in frequency.
    """

    per_sample: bool = True
    time_only: bool = False


class FeatureLoss:
    """Base of the losses on block outputs [B, ..., C] of a student and its teacher."""

    def prepare(self, teacher: Tensor, options: MapOptions) -> tuple[Tensor, ...]:
        """Return what the student's map is compared with."""
        raise NotImplementedError

    def distance(
        self, student: Tensor, prepared: tuple[Tensor, ...], options: MapOptions
    ) -> Tensor:
        """Return the scalar distance of one block's map."""
        raise NotImplementedError

    def total(
        self,
        student: dict[int, Tensor],
        prepared: dict[int, tuple[Tensor, ...]],
        options: MapOptions,
    ) -> Tensor:
        """Sum the distances over the blocks {index: output} that the student ran."""
        parts = [self.distance(out, prepared[block], options) for block, out in student.items()]
        return sum(parts[1:], parts[0])


FEATURE_LOSSES: Registry[FeatureLoss] = Registry("loss on features")
