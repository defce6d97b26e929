"""What a binarizer is: how a layer's input and weights become +-1, and their gradients."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.registry import Registry


class Binarizer(nn.Module):
    """Base class; one instance for each layer, so that it may hold parameters of that layer.

    Parameters
    ----------
    c_in, c_out
        Input and output channels of the layer. The last axis of the input holds `c_in` channels, or
        those of several positions, one after the other.

    Attributes
    ----------
    binary
        False if the layer stays in full precision and so can not be exported as a binary operation.
    n_planes
        Planes of bits that stand for an input: 1 for b1, 2 for b1 + s b2, with one scalar s.
    scale
        Real factors of a layer's levels: one for each output `channel`, one for the `layer`, or `none`.
        All fold into the batch norm.
    unsupported
        Why the engine can not run a layer of it as bits; empty where it can.
    stored
        Type in the model file of weights that stay real: f16, or i8 for levels that are whole numbers.
    linear
        Name of the binarizer for the linear layer of a stem where that differs; empty: the same.
    """

    binary: bool = True
    n_planes: int = 1
    scale: str = "channel"
    unsupported: str = ""
    stored: str = "f16"
    linear: str = ""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.c_in = c_in
        self.c_out = c_out

    def activation(self, x: Tensor) -> Tensor:
        """Turn a layer's real input into the values that are multiplied in training (any shape)."""
        raise NotImplementedError

    def signs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn a layer's real input into its planes, each of the input's shape and +1 or -1.

        The engine and a net in evaluation multiply each plane by itself. One plane is the
        `activation`; a binarizer of two overrides this.
        """
        return (self.activation(x),)

    def needs(self) -> str:
        """Say in a few words what the engine needs to run a layer of it, or that it can not."""
        if self.unsupported or not self.binary:
            return "not bits"
        planes = "1 plane" if self.n_planes == 1 else f"{self.n_planes} planes"
        signs = "signs at 0" if self.thresholds() is None else "thresholds"
        scale = "no scale" if self.scale == "none" else f"a scale a {self.scale}"
        return f"{planes}, {signs}, {scale}"

    def plane_scale(self) -> Tensor:
        """Return s, the worth of the second plane: a positive float32 scalar."""
        raise NotImplementedError

    def thresholds(self) -> Tensor | None:
        """Return where the planes' signs change, [n_planes, c_in] float32; None: all at zero.

        b1 is +1 where x >= thresholds[0], b2 where x - b1 >= thresholds[1].
        """
        return None

    def set_progress(self, fraction: float) -> None:
        """Hear before each epoch which share of the training is done, 0 .. 1: for schedules.

        What follows from it is kept in buffers and changed in place, so that it moves with the net to
        another device and a recorded graph of operations sees it.
        """

    def penalty(self, w: Tensor) -> Tensor | None:
        """Return what a step adds to the loss for this layer, a scalar, after all depths ran; or None.

        `w` are the layer's latent weights.
        """
        return None

    def project(self, w: Tensor) -> None:
        """Bring latent weights `w` and own parameters with a limited range back into it.

        Called after each step, without gradient.
        """

    def round_tables(self) -> None:
        """Round to float16 what the model file stores so: thresholds."""

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
