"""Order of the training examples, a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bifast.train.data.crops import crop
from bifast.train.data.features import Split
from bifast.train.data.masks import hide
from bifast.train.data.spec import DataSpec

_UNCHANGED = DataSpec()
_CPU = torch.device("cpu")


def epoch_order(split: Split, batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Draw one epoch.

    Parameters
    ----------
    split
        N examples of V variants with repeats.
    batch
        Clips a step; an incomplete last batch is left out (its statistics would be poor).
    seed, epoch
        The only inputs of the draw.

    Returns
    -------
    list of ndarray
        [batch, 2] int64 each: example and variant. An example drawn twice has two variants.
    """
    rng = np.random.default_rng((seed, epoch))
    variants = split.features.shape[1]
    first = rng.integers(0, variants, split.labels.size)
    examples = np.repeat(np.arange(split.labels.size), split.repeats)
    starts = np.repeat(np.cumsum(split.repeats) - split.repeats, split.repeats)
    nth = np.arange(examples.size) - starts
    draws = np.stack([examples, (first[examples] + nth) % variants], axis=1)
    rng.shuffle(draws)
    count = draws.shape[0] // batch
    return [draws[i * batch : (i + 1) * batch] for i in range(count)]


@dataclass(frozen=True)
class Batch:
    """One step's clips.

    Attributes
    ----------
    features
        [B, T, M], or images [B, H, W, C], float32.
    labels
        [B] int64.
    taught
        The teacher's logits [B, K], or None.
    clips
        [B] int64: which examples of the split.
    """

    features: Tensor
    labels: Tensor
    taught: Tensor | None
    clips: NDArray[np.int64]

    def share(self, rank: int, world: int) -> Batch:
        """Return every `world`-th clip from the one numbered `rank`."""
        if world == 1:
            return self
        part = slice(rank, None, world)
        taught = None if self.taught is None else self.taught[part]
        return Batch(self.features[part], self.labels[part], taught, self.clips[part])


@dataclass(frozen=True)
class Stock:
    """A training split as tensors on the device that trains, so that a step copies no clips.

    Attributes
    ----------
    split
        What the tensors hold.
    features
        [N, V, T, M] float16, or images [N, 1, H, W, C] uint8.
    labels
        [N] int64.
    taught
        The teacher's logits [N, V, K] float32, or None.
    """

    split: Split
    features: Tensor
    labels: Tensor
    taught: Tensor | None = None

    @classmethod
    def of(
        cls, split: Split, device: torch.device = _CPU, taught: NDArray[np.float32] | None = None
    ) -> Stock:
        """Copy a split, and the teacher's logits [N, V, K], to a device; on the CPU nothing is copied."""
        return cls(
            split,
            torch.from_numpy(split.features).to(device),
            torch.from_numpy(split.labels).to(device),
            None if taught is None else torch.from_numpy(taught).to(device),
        )

    def batches(
        self, batch: int, seed: int, epoch: int, spec: DataSpec = _UNCHANGED
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch; order, masks and crops are functions of seed, epoch and step."""
        order = epoch_order(self.split, batch, seed, epoch)
        if not order:
            return
        drawn = torch.from_numpy(np.stack(order)).to(self.features.device)
        for step, draws in enumerate(order):
            clips, variants = drawn[step, :, 0], drawn[step, :, 1]
            features = self.features[clips, variants].float()
            rng = np.random.default_rng((seed, epoch, step + 1))
            if spec.masks.time or spec.masks.mel:
                features = hide(features, spec.masks, rng)
            if not spec.crops.nothing:
                features = crop(features, spec.crops, rng)
            yield Batch(
                features=features,
                labels=self.labels[clips],
                taught=None if self.taught is None else self.taught[clips, variants],
                clips=draws[:, 0],
            )
