"""What a binarizer is: how a layer's input and weights become +-1, and their gradients."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.registry import Registry


class Binarizer(nn.Module):
    """Base class; one instance for each layer, so that it may hold parameters of that layer.

    Parameters
    ----------
    c_in, c_out
        Input and output channels of the layer.

    Attributes
    ----------
    binary
        False if the layer stays in full precision and so can not be exported as a binary operation.
    """

    binary: bool = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.c_in = c_in
        self.c_out = c_out

    def activation(self, x: Tensor) -> Tensor:
        """Turn a layer's real input into the values that are multiplied (any shape)."""
        raise NotImplementedError

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Turn latent weights into levels and scales.

        Parameters
        ----------
        w
            Latent weights, shape (c_out, ...).

        Returns
        -------
        levels
            Shape of `w`; +1 and -1 only when `binary`.
        scale
            Shape (c_out,), positive; the effective weight is `levels * scale`.
        """
        raise NotImplementedError


BINARIZERS: Registry[type[Binarizer]] = Registry("binarizer")
