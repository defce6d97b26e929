"""BiFSMNv2's binarizer (arXiv 2211.06987): two planes, learned thresholds and estimators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import hard_sign

MIN_ALPHA = 1.0 / 16.0
# Share of a batch in the running mean of |r|.
MOMENTUM = 0.1


class _LearnedSign(torch.autograd.Function):
    """sign(x), +1 at zero, whose gradient is that of clamp(alpha x, -1, 1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        ctx.save_for_backward(x, alpha)
        return hard_sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, alpha = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(grads[0], alpha * x, -1.0, 1.0)
        return alpha * inside, (inside * x).sum()


def learned_sign(x: Tensor, alpha: Tensor) -> Tensor:
    """Binarise to +-1 with a learned window: d/dx = alpha 1[|alpha x| < 1], d/dalpha = x 1[...].

    Parameters
    ----------
    x
        Any shape.
    alpha
        Scalar, positive: half the window's width is 1 / alpha, its height alpha.
    """
    out: Tensor = _LearnedSign.apply(x, alpha)
    return out


@BINARIZERS.register("bifsmnv2")
class BiFsmnV2(Binarizer):
    """Input b1 + s b2, b1 = sign(x - t1), b2 = sign(x - b1 - t2); weights sign(w) mean |w|.

    The mean is over each output channel, without gradient. Thresholds t are learned for each input
    channel, and each of the three signs has a learned estimator (`learned_sign`). s is the mean of
    |x - b1 - t2|, averaged over the batches of all depths, without gradient; it is frozen before the
    batch norms are averaged for the last time.

    Not as the released code, so that the products are XNOR products: s there is a mean for each
    sample and channel over time; weight scales are one for each pair of input and output channel; and
    a third threshold is subtracted from the sum of the planes, which adds a constant to each output
    that the batch norm takes away.
    """

    n_planes = 2
    residual_mean: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.threshold = nn.Parameter(torch.empty(2, c_in).uniform_(0.0, 1e-3))
        self.alpha = nn.Parameter(torch.ones(3))  # of b1, b2 and the weights
        self.register_buffer("residual_mean", torch.tensor(0.5))

    def activation(self, x: Tensor) -> Tensor:
        """Return b1 + s b2; in training s follows the batches."""
        first, second = self.signs(x)
        # A copy: the mean moves again at the next depth, before the gradient comes back.
        return first + self.residual_mean.clone() * second

    def signs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return b1 and b2."""
        grouped = x.unflatten(-1, (-1, self.c_in))
        first = learned_sign(grouped - self.threshold[0], self.alpha[0])
        rest = grouped - first - self.threshold[1]
        if self.training:
            with torch.no_grad():
                self.residual_mean.lerp_(rest.abs().mean(), MOMENTUM)
        second = learned_sign(rest, self.alpha[1])
        return first.flatten(-2), second.flatten(-2)

    def plane_scale(self) -> Tensor:
        """Return the running mean of |r|."""
        return self.residual_mean

    def thresholds(self) -> Tensor:
        """Return t1 and t2."""
        return self.threshold.detach()

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w| of each output channel)."""
        return learned_sign(w, self.alpha[2]), w.detach().abs().flatten(1).mean(1)

    def project(self, w: Tensor) -> None:
        """Keep alpha positive."""
        self.alpha.clamp_(min=MIN_ALPHA)

    @torch.no_grad()
    def round_tables(self) -> None:
        """Round the thresholds to float16; s is stored as it is."""
        self.threshold.copy_(self.threshold.half().float())
