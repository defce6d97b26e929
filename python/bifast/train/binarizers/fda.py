"""FDA-BNN's estimator: the derivative of a Fourier series of the sign (arXiv 2103.00841)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.bireal import BiReal
from bifast.train.binarizers.sign import sign_with

OMEGA = 0.1
TERMS = (9, 18)


def series_slope(x: Tensor, terms: Tensor) -> Tensor:
    """Return (4 w / pi) sum_{i=0..n} cos((2i + 1) w x) where |x| < 1, else 0, with w = OMEGA.

    Parameters
    ----------
    x
        Any shape.
    terms
        n + 1, a scalar.

    Notes
    -----
    The sum is sin(2 (n+1) w x) / (2 sin(w x)); as sinc functions it needs no care at zero.
    """
    angle = OMEGA / math.pi * x
    total = terms * torch.sinc(2 * terms * angle) / torch.sinc(angle)
    inside = torch.ops.aten.hardtanh_backward(total, x, -1.0, 1.0)
    return 4 * OMEGA / math.pi * inside


@BINARIZERS.register("fda")
class Fda(BiReal):
    """Inputs sign(x) with the gradient of a sine series of 10 to 19 terms; weights sign(w) mean |w|.

    arXiv 2103.00841: the series grows over the epochs. Its second part, a small net beside each layer that learns the
    error of the series and fades out over the training, is left out: it moves the signs of training away from those of
    evaluation.
    """

    terms: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("terms", torch.tensor(TERMS[0] + 1.0), persistent=False)

    def set_progress(self, fraction: float) -> None:
        """Add terms."""
        self.terms.fill_(TERMS[0] + 1.0 + math.floor(fraction * (TERMS[1] - TERMS[0] + 1)))

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_with(x, lambda x: series_slope(x, self.terms))
