"""Batch norm and activation without a product (C = channels, the last axis)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bifast.errors import UnsupportedError
from bifast.format import Buffer
from bifast.train.binarizers import BINARIZERS
from bifast.train.export import Lowered, exports
from bifast.train.nets.norm import DepthNorm, PositivePRelu


class Stage(nn.Module):
    """Normalise and activate; in evaluation x * scale + shift in float32, as the engine does.

    Parameters
    ----------
    channels
        C.
    norm, act
        Batch norm and activation, or None.
    """

    def __init__(
        self, channels: int, norm: DepthNorm | None = None, act: PositivePRelu | None = None
    ) -> None:
        super().__init__()
        self.channels = channels
        self.binarizer = BINARIZERS["full"](channels, channels)
        self.norm = norm
        self.act = act

    def affine(self, depth: int) -> tuple[Tensor, Tensor]:
        """Return the batch norm as (scale, shift), each [C] float32; ones and zeros without one."""
        if self.norm is None:
            return torch.ones(self.channels), torch.zeros(self.channels)
        scale, shift = self.norm.affine(depth)
        return scale.float(), shift.float()

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """[..., C] -> [..., C]."""
        flat = x.flatten(0, -2)
        if self.norm is not None and self.training:
            flat = self.norm(flat, depth)
        elif self.norm is not None:
            scale, shift = self.affine(depth)
            flat = flat * scale + shift
        if self.act is not None:
            flat = self.act(flat, depth)
        return flat.view(x.shape)


@exports(Stage)
def _lower_stage(layer: Stage, source: Buffer) -> Lowered:
    nothing = (0, 0)
    if source.channels == layer.channels:
        return Lowered("elementwise", None, nothing, nothing, nothing, nothing)
    if (source.width, source.channels) == (layer.channels, 1):
        # Bands become channels by a product with the identity: x * 1 and zeros, which is exact.
        return Lowered("conv2d", np.eye(layer.channels, dtype=np.float32), (1, source.width))
    raise UnsupportedError(f"{layer.channels} channels do not fit a buffer of shape {source.shape}")
