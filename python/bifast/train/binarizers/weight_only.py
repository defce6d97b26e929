"""Binarizers of weights alone: BinaryConnect, BWN, ProxQuant. Inputs stay real, which the engine can not run."""

from __future__ import annotations

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import hard_sign, sign_clip, sign_through

# Share of a channel's mean |w| by which a step draws a weight to its level, at the end of training.
PULL = 0.02


class WeightOnly(Binarizer):
    """Base: inputs as they are."""

    unsupported = "inputs stay real: products of bits need bits on both sides"

    def activation(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x


@BINARIZERS.register("binaryconnect")
class BinaryConnect(WeightOnly):
    """Weights sign(w), deterministic; gradients pass as they are, latent weights are kept in [-1, 1].

    arXiv 1511.00363, section 2.3 and algorithm 1.
    """

    scale = "none"

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), ones)."""
        return sign_through(w), w.new_ones(w.shape[0])

    def project(self, w: Tensor) -> None:
        """Clip the latent weights."""
        w.clamp_(-1, 1)


@BINARIZERS.register("bwn")
class Bwn(WeightOnly):
    """Binary-weight network: weights sign(w) mean |w| of each output channel.

    The scale is the one with the least squared error. arXiv 1603.05279, section 3.1. The gradient passes where
    |w| < 1, and through the scale.
    """

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w|)."""
        return sign_clip(w), w.flatten(1).abs().mean(1)


@BINARIZERS.register("proxquant")
class ProxQuant(WeightOnly):
    """Real weights in training, drawn to +-mean |w| of their channel; sign(w) mean |w| in evaluation.

    After each step the proximal operator of lambda |w - m sign(w)|, m = mean |w|: a weight moves by lambda
    towards its level and not past it; lambda = PULL m times the share of the training that is done.
    arXiv 1810.00861, algorithm 1 and the W-shaped regulariser. There the levels are +-1 and lambda is a
    setting of each net; PULL is ours.
    """

    rate: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("rate", torch.tensor(0.0), persistent=False)

    def set_progress(self, fraction: float) -> None:
        """Pull harder."""
        self.rate.fill_(PULL * fraction)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (w, ones) in training, (sign(w), mean |w|) in evaluation."""
        if self.training:
            return w, w.new_ones(w.shape[0])
        return hard_sign(w), w.flatten(1).abs().mean(1)

    def project(self, w: Tensor) -> None:
        """Apply the proximal operator."""
        size = w.flatten(1).abs().mean(1).view(-1, *[1] * (w.dim() - 1))
        level = hard_sign(w) * size
        step = self.rate * size
        w.copy_(
            level
            + torch.nn.functional.relu(w - level - step)
            - torch.nn.functional.relu(level - w - step)
        )
