"""Real values as bytes, for a layer whose weights are bytes too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Share of a batch in the running range.
MOMENTUM = 0.1
LARGEST = 255


class Bytes(nn.Module):
    """Values x as bytes q = 0 .. 255 that stand for (q - zero) * step, in every layer and at every depth alike.

    The range is the average of the batches' smallest and largest values, with 0 in it, and `zero` is a whole
    number, so that padding with zeros is exact (arXiv 1712.05877, section 3). It stays as it is in evaluation
    mode. The gradient passes the rounding, inside the range.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def step(self) -> Tensor:
        """Return the worth of one, float64."""
        width = (self.high - self.low).double()
        return torch.where(width > 0, width / LARGEST, torch.ones_like(width))

    def zero(self) -> Tensor:
        """Return the byte that stands for 0, a whole number in float64."""
        return (-self.low.double() / self.step()).round().clamp(0, LARGEST)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return (scale, shift), float32: the byte is x * scale + shift without what follows the point."""
        return (1.0 / self.step()).float(), (self.zero() + 0.5).float()

    def levels(self, x: Tensor) -> Tensor:
        """Return the bytes of x as whole numbers, as the engine computes them (docs/format.md, `quantise`)."""
        scale, shift = self.affine()
        return (x * scale + shift).clamp(0, LARGEST).floor()

    def forward(self, x: Tensor) -> Tensor:
        """Return what the bytes of x stand for; in training the range follows the batches."""
        if self.training:
            self._follow(x.detach())
        step, zero = self.step().float(), self.zero().float()
        worth = (self.levels(x.detach()) - zero) * step
        inside = x.clamp(-zero * step, (LARGEST - zero) * step)
        return inside + (worth - inside).detach()

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        unknown = self.low == self.high
        for bound, found in ((self.low, x.min().clamp(max=0)), (self.high, x.max().clamp(min=0))):
            bound.copy_(torch.where(unknown, found, torch.lerp(bound, found, MOMENTUM)))
