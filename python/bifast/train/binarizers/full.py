"""No binarisation: the full-precision twin of a binary net."""

from __future__ import annotations

from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer


@BINARIZERS.register("full")
class Full(Binarizer):
    """Inputs and weights as they are."""

    binary = False

    def activation(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights and scales of one."""
        return w, w.new_ones(w.shape[0])
