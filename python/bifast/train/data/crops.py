"""Random crops and mirror images of a batch, on the device that trains (B, H, W, C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Crops:
    """How images are changed, new in every epoch; nothing by default.

    Attributes
    ----------
    pad
        Black border from which an image of the old size is cut, in pixels; 4 for CIFAR-10.
    flip
        Mirror every second image, left to right.
    """

    pad: int = 0
    flip: bool = False

    @property
    def nothing(self) -> bool:
        """Whether images stay as they are."""
        return not self.pad and not self.flip


def crop(images: Tensor, crops: Crops, rng: np.random.Generator) -> Tensor:
    """Shift and mirror images [B, H, W, C] of any dtype; returns a new tensor.

    The draws are NumPy's, so that they are the same on every device; only their few numbers are copied.
    """
    count, height, width, _ = images.shape
    pad = crops.pad
    corner = rng.integers(0, 2 * pad + 1, (2, count, 1))
    rows, columns = corner[0] + np.arange(height), corner[1] + np.arange(width)
    if crops.flip:
        columns = np.where(rng.integers(0, 2, (count, 1)) == 1, columns[:, ::-1], columns)
    places = torch.from_numpy(np.concatenate([rows, columns], axis=1)).to(images.device)
    which = torch.arange(count, device=images.device)
    padded = functional.pad(images, (0, 0, pad, pad, pad, pad))
    return padded[which[:, None, None], places[:, :height, None], places[:, None, height:]]
