"""AdaBin: two values that need not be opposite, for inputs and for each output channel (arXiv 2208.08084)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bifast.train.binarizers.base import BINARIZERS
from bifast.train.binarizers.bireal import triangle
from bifast.train.binarizers.irnet import IrNet, tanh_sign
from bifast.train.binarizers.sign import sign_with

MIN_DISTANCE = 1.0 / 64.0


@BINARIZERS.register("adabin")
class AdaBin(IrNet):
    """Weights m + d sign(w - m), mean m and deviation d of an output channel; inputs a (sign((x - c) / a) + c).

    a and c are learned, one pair a layer; estimators: Bi-Real's for inputs, IR-Net's, with its schedule, for
    weights. arXiv 2208.08084, as released. Its Maxout is a PReLU with a slope on both sides, which batch norm and
    `net.slopes = "channel"` are here.
    """

    unsupported = (
        "weights m + d b with m not 0 need the sum of the inputs' bits beside the XNOR product"
    )

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.distance = nn.Parameter(torch.tensor(1.0))
        self.centre = nn.Parameter(torch.tensor(0.0))

    def activation(self, x: Tensor) -> Tensor:
        """Return one of two values."""
        sign = sign_with((x - self.centre) / self.distance, triangle)
        return self.distance * (sign + self.centre)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (m + d sign(w - m), ones)."""
        flat = w.flatten(1)
        mean = flat.mean(1, keepdim=True)
        centred = flat - mean
        deviation = centred.square().mean(1, keepdim=True).sqrt().clamp(min=1e-12)
        levels = tanh_sign(centred / deviation, self.t) * deviation + mean
        return levels.view_as(w), w.new_ones(w.shape[0])

    def project(self, w: Tensor) -> None:
        """Keep the distance positive."""
        self.distance.clamp_(min=MIN_DISTANCE)
