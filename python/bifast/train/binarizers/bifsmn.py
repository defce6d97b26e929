"""BiFSMN's binarizer (arXiv 2202.06483), with one weight scale for each output channel."""

from __future__ import annotations

from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.sign import sign_clip


@BINARIZERS.register("bifsmn")
class BiFsmn(Binarizer):
    """Sign activations; weights sign(w - mean) times mean |w - mean| of each output channel.

    The mean is over the whole layer. One scale for each output channel can be folded into the
    batch norm, so the layer is an XNOR dot product; a scale for each (output, input) pair can not,
    and for 1 x 1 kernels it would give the real weights back.
    """

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_clip(x)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w - mean), scale), the scale without gradient."""
        centred = w - w.mean()
        scale = centred.detach().abs().flatten(1).mean(1)
        return sign_clip(centred), scale
