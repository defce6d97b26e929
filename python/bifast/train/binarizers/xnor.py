"""XNOR-Net with and without its scale of inputs, XNOR-Net++ and DoReFa-Net at one bit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import sign_clip, sign_through

MIN_SCALE = 1.0 / 64.0


@BINARIZERS.register("xnor-weights")
class XnorWeights(Binarizer):
    """XNOR-Net without the scale of inputs: weights sign(w) mean |w| of each output channel, inputs sign(x).

    arXiv 1603.05279, section 3.1; gradients pass where |x| < 1, and through the scale.
    """

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_clip(x)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w|)."""
        return sign_clip(w), w.flatten(1).abs().mean(1)


@BINARIZERS.register("xnor")
class Xnor(XnorWeights):
    """XNOR-Net: as `xnor-weights`, and inputs sign(x) a, a the mean of |x| over the channels of a position.

    arXiv 1603.05279, section 3.2. The paper averages a over the kernel's positions and multiplies the sum by
    that (K); with kernels of one position, 91 % of the weights of BiFSMN, it is the same.
    """

    unsupported = "a scale for each position of the input can not leave the sum of an XNOR product"

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x) times the mean |x| of its position."""
        return sign_clip(x) * x.abs().mean(-1, keepdim=True)


@BINARIZERS.register("xnor++")
class XnorPlusPlus(Binarizer):
    """Weights sign(w) g with a learned scale g for each output channel, inputs sign(x).

    arXiv 1909.13863, the first of its four forms. The others have a scale for each position of the output
    too, which would not fold into the batch norm.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.gamma = nn.Parameter(torch.ones(c_out))

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_clip(x)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), g)."""
        return sign_clip(w), self.gamma

    def project(self, w: Tensor) -> None:
        """Keep the scales positive."""
        self.gamma.clamp_(min=MIN_SCALE)


@BINARIZERS.register("dorefa")
class DoReFa(Binarizer):
    """Weights sign(w) mean |w| of the whole layer; inputs one bit of clip(x, 0, 1), which changes at 1/2.

    Gradients pass where 0 < x < 1, and to all weights. arXiv 1606.06160, sections 2.2 to 2.4 with one bit. Here
    the bit stands for +-1, not for 1 and 0: the batch norm takes the difference away, but not at the borders,
    where a missing tap adds 0. Gradients stay real.
    """

    scale = "layer"

    def activation(self, x: Tensor) -> Tensor:
        """Return +1 where x >= 1/2, else -1."""
        return sign_clip(2 * x - 1)

    def thresholds(self) -> Tensor:
        """Return 1/2 for each channel."""
        return torch.full((1, self.c_in), 0.5)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), mean |w| of the layer)."""
        return sign_through(w), w.detach().abs().mean().expand(w.shape[0])
