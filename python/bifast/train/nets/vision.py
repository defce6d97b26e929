"""Base of the nets for images (B batch, H height, W width, C channels, K classes)."""

from __future__ import annotations

from torch import Tensor

from bifast.train.binarizers import BINARIZERS
from bifast.train.export import Builder
from bifast.train.nets.base import DEPTH_NAMES, Net, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.nets.norm import DepthNorm, PositivePRelu
from bifast.train.nets.stage import Stage


class VisionNet(Net):
    """Images [B, H, W, C], pixels 0 .. 255, to class scores; one depth.

    Colours get zero mean and unit deviation first (running statistics), so that the model file takes
    pixels as they are; a first layer of `int8` reads them as bytes. Sums of floats before a sign are added in evaluation as the engine does, so that a
    binary net in evaluation gives the engine's bits.

    Parameters
    ----------
    spec
        The recipe's description: one depth, no dropout.
    height, width, channels, classes
        H, W, C and K.

    Raises
    ------
    ValueError
        If the recipe asks for what such a net does not have.
    """

    takes = "images"
    byte_ends = True

    def __init__(self, spec: NetSpec, height: int, width: int, channels: int, classes: int) -> None:
        super().__init__((height, width, channels), classes, DEPTH_NAMES[:1])
        for key, expected in (("depths", 1), ("dropout", 0.0), ("stem_binarizer", "")):
            if (got := getattr(spec, key)) != expected:
                raise ValueError(f"net {spec.name}: set net.{key} = {expected!r}, got {got!r}")
        self.spec = spec
        # Only before signs does the last bit of a float matter.
        self.ordered = BINARIZERS[spec.binarizer].binary
        self.colours = None if spec.ends == "int8" else Stage(channels, DepthNorm(channels, 1))

    def normal(self, x: Tensor) -> Tensor:
        """Return pixels [B, H, W, C] as the first layer reads them."""
        return x if self.colours is None else self.colours(x)

    def act(self, channels: int) -> PositivePRelu:
        """Return an activation as the recipe wants it."""
        return PositivePRelu(channels if self.spec.slopes == "channel" else 1)

    def wire_colours(self, builder: Builder) -> int:
        """Add the input and its normal form; returns the buffer that the first layer reads."""
        height, width, channels = self.shape
        if self.colours is None:
            return builder.buffer("u8", height, width, channels)
        pixels, colours = (builder.buffer("f32", height, width, channels) for _ in range(2))
        builder.layer("colours", self.colours, (0,), pixels, out_f32=colours)
        return colours

    def first_signs(self, x: Tensor) -> list[tuple[str, Tensor, Layer]]:
        """Return nothing: all sums before signs have the engine's order."""
        return []
