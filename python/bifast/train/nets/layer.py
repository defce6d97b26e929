"""The layer every net is made of: product, batch norm, activation, residual (C = channels)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from bifast.train.binarizers import BINARIZERS
from bifast.train.nets.bytes import Bytes
from bifast.train.nets.norm import DepthNorm, PositivePRelu


class Relu(nn.Module):
    """ReLU with the signature of `PositivePRelu`; for teachers."""

    def forward(self, x: Tensor, depth: int) -> Tensor:
        """Apply to any shape; `depth` is not used."""
        return functional.relu(x)

    def slopes(self, depth: int) -> Tensor:
        """Return the slope of the PReLU that it equals, shape [1]."""
        return torch.zeros(1)


class Layer(nn.Module):
    """Binarise input and weights, multiply, normalise, activate, add the residual.

    Channels are the last axis of inputs and outputs. In training the batch norm uses the batch.
    In evaluation weight scale, bias and running statistics are one float32 (scale, shift) pair for
    each channel, applied as the engine does: product, times scale, plus shift, slope, residual. For
    binary layers the product is an exact integer, so this *is* the engine's result, bit for bit.

    Parameters
    ----------
    shape
        Shape of the weights, output channels first.
    c_in
        Input channels.
    binarizer
        Name in `BINARIZERS`.
    norm, act
        Batch norm and activation, or None.
    bias
        False for a layer without a batch norm that has none either.
    reads_bytes
        The layer turns its real input into bytes first; its binarizer gives weights of bytes.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        c_in: int,
        *,
        binarizer: str,
        norm: DepthNorm | None = None,
        act: PositivePRelu | Relu | None = None,
        bias: bool = True,
        reads_bytes: bool = False,
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        # A batch norm takes away whatever is added before it, so only layers without one have a bias.
        first = torch.empty(shape[0]).uniform_(-bound, bound)
        self.bias = nn.Parameter(first) if norm is None and bias else None
        self.binarizer = BINARIZERS[binarizer](c_in, shape[0])
        self.bytes = Bytes() if reads_bytes else None
        self.norm = norm
        self.act = act

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        """Multiply input [..., c_in] by weights of the layer's shape -> [..., c_out]."""
        raise NotImplementedError

    def output_positions(self, positions: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of the output for an input of (height, width)."""
        return positions

    def macs(self, positions: tuple[int, int]) -> int:
        """Return the multiply-adds for an input of (height, width), missing taps counted."""
        height, width = self.output_positions(positions)
        return height * width * self.weight.numel()

    def affine(self, depth: int) -> tuple[Tensor, Tensor]:
        """Fold weight scale, bias and batch norm.

        Returns
        -------
        scale, shift
            Each [c_out], float32, rounded once from float64.
        """
        levels, weight_scale = (t.detach() for t in self.binarizer.weight(self.weight.detach()))
        if self.bytes is not None:
            return self._affine_of_bytes(levels, weight_scale, depth)
        if self.norm is not None:
            norm_scale, shift = self.norm.affine(depth)
            return (weight_scale.double() * norm_scale).float(), shift.float()
        shift = torch.zeros_like(weight_scale) if self.bias is None else self.bias.detach().clone()
        return weight_scale.clone(), shift

    def _affine_of_bytes(
        self, levels: Tensor, weight_scale: Tensor, depth: int
    ) -> tuple[Tensor, Tensor]:
        """Fold also what a byte is worth, and the sums of the bytes that stand for 0."""
        assert self.bytes is not None
        scale = weight_scale.double() * self.bytes.step()
        shift = torch.zeros_like(scale) if self.bias is None else self.bias.detach().double()
        if self.norm is not None:
            norm_scale, shift = self.norm.affine(depth)
            scale = scale * norm_scale
        shift = shift - self.bytes.zero() * levels.flatten(1).double().sum(1) * scale
        return scale.float(), shift.float()

    def fill(self) -> float:
        """Return what stands outside the input."""
        return 0.0 if self.bytes is None or self.training else float(self.bytes.zero())

    def forward(self, x: Tensor, depth: int = 0, residual: Tensor | None = None) -> Tensor:
        """Run the layer at a depth; `residual` has the shape of the output."""
        levels, scale = self.binarizer.weight(self.weight)
        if self.training:
            weight = levels * scale.reshape(-1, *[1] * (levels.dim() - 1))
            x = x if self.bytes is None else self.bytes(x)
            y = self.product(self.binarizer.activation(x), weight)
            if self.norm is not None:
                y = self.norm(y.flatten(0, -2), depth).view(y.shape)
            elif self.bias is not None:
                y = y + self.bias
        else:
            y = self._evaluated_product(x, levels)
            folded_scale, folded_shift = self.affine(depth)
            y = y * folded_scale + folded_shift
        if self.act is not None:
            y = self.act(y.flatten(0, -2), depth).view(y.shape)
        return y if residual is None else y + residual

    def _evaluated_product(self, x: Tensor, levels: Tensor) -> Tensor:
        """Multiply as the engine does."""
        if self.bytes is not None:
            # Whole numbers: an exact sum, rounded once.
            return self.product(self.bytes.levels(x).double(), levels.double()).float()
        first, *second = self.binarizer.signs(x)
        y = self.product(first, levels)
        if second:
            y = y + self.product(second[0], levels) * self.binarizer.plane_scale()
        return y
