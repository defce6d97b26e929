"""What the training loop asks of a net, and how a recipe describes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bifast.errors import UnsupportedError
from bifast.train.binarizers import Binarizer
from bifast.train.export import Builder
from bifast.train.nets.layer import Layer
from bifast.train.nets.norm import PositivePRelu
from bifast.train.registry import Registry

DEPTH_NAMES = ("full", "half", "quarter", "eighth")


@dataclass(frozen=True)
class NetSpec:
    """A net of a recipe.

    Attributes
    ----------
    name
        Name in `NETS`.
    binarizer
        Name in `BINARIZERS`, for all layers but the first and the last.
    stem_binarizer
        The same for the binary layers before the first block; empty: as the others.
    ends
        Name of the binarizer for the first and last layer and 1 x 1 shortcuts: `full`, or `int8`. Nets for
        images read the pixels as the bytes that they are; `bifsmn` and `kws` turn what these layers read
        into bytes.
    depths
        1 .. 4: full, half, quarter, eighth.
    slopes
        `layer`: one PReLU slope a layer, as the paper; `channel`: one a channel.
    dropout
        Probability, in training.
    blocks
        Blocks of the full depth; each depth has half of those of the one before.
    statistics
        `depth`: batch norms that depths share keep statistics for each depth, averaged again under the
        final weights; `shared`: one running average of all depths, as the paper's code.
    """

    name: str = "bifsmn"
    binarizer: str = "bifsmn"
    stem_binarizer: str = ""
    ends: str = "full"
    depths: int = 4
    slopes: str = "channel"
    dropout: float = 0.0
    blocks: int = 8
    statistics: str = "depth"


class Net(nn.Module):
    """Base of the nets: inputs [B, ...] to class scores [B, K] at one or several depths.

    Attributes
    ----------
    takes
        `sounds` or `images`, as the tasks that it is for.
    byte_ends
        Whether it heeds `NetSpec.ends`.
    shape, classes
        Shape of one input, and K.
    depths
        Names of the depths, deepest first.
    """

    takes = "sounds"
    byte_ends = False

    def __init__(self, shape: tuple[int, ...], classes: int, depths: tuple[str, ...]) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.depths = depths

    def features(self, x: Tensor) -> Tensor:
        """Run the part that all depths share: input [B, ...] -> stream [B, ..., C]."""
        raise NotImplementedError

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """Run the blocks of a depth: (logits [B, K], {block: its output [B, ..., C]})."""
        raise NotImplementedError

    def layer_table(self) -> list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]:
        """Return (name, layer, input (height, width), depths that run it), in order."""
        raise NotImplementedError

    def first_signs(self, x: Tensor) -> list[tuple[str, Tensor, Layer]]:
        """Find the first bits after a sum of floats that PyTorch adds in another order than the engine.

        Returns
        -------
        list
            (name of the operation that writes them, the values [B, ...] of which they are signs, the
            layer that reads them) for inputs x.
        """
        raise NotImplementedError

    def wire(self, builder: Builder) -> None:
        """Add buffers and operations to a model file; without it the net can not be exported."""
        raise UnsupportedError(f"{type(self).__name__} does not say how its layers are wired")

    def forward(self, x: Tensor, depth: int = 0) -> Tensor:
        """Turn inputs [B, ...] into logits [B, K] at one depth."""
        return self.backbone(self.features(x), depth)[0]

    def set_progress(self, fraction: float) -> None:
        """Tell the binarizers which share of the training is done, 0 .. 1; call before each epoch."""
        for module in self.modules():
            if isinstance(module, Binarizer):
                module.set_progress(fraction)

    def penalty(self) -> Tensor | None:
        """Return what the binarizers add to the loss of a step, a scalar; None: nothing."""
        layers = [m for m in self.modules() if isinstance(m, Layer)]
        found = [layer.binarizer.penalty(layer.weight) for layer in layers]
        added = [penalty for penalty in found if penalty is not None]
        return torch.stack(added).sum() if added else None

    @torch.no_grad()
    def project(self) -> None:
        """Bring parameters with a limited range back into it; call after each step."""
        for module in self.modules():
            if isinstance(module, PositivePRelu):
                module.project()
            elif isinstance(module, Layer):
                module.binarizer.project(module.weight)

    @torch.no_grad()
    def round_tables(self) -> None:
        """Round to float16 what the model file stores so: real weights, slopes, thresholds."""
        for module in self.modules():
            if isinstance(module, Binarizer):
                module.round_tables()
            if isinstance(module, Layer) and not module.binarizer.binary:
                module.weight.copy_(module.weight.half().float())
            if isinstance(module, PositivePRelu):
                for slope in module.slope:
                    slope.copy_(slope.half().float())


class KeywordNet(Net):
    """Base of the nets for sounds: features [B, T, M] to class scores.

    Attributes
    ----------
    frames, mels
        T and M.
    """

    def __init__(self, frames: int, mels: int, classes: int, depths: tuple[str, ...]) -> None:
        super().__init__((frames, mels), classes, depths)
        self.frames, self.mels = frames, mels

    def first_signs(self, x: Tensor) -> list[tuple[str, Tensor, Layer]]:
        """Find the signs of the first layer's output; x are features [B, T, M]."""
        (name, first, _, _), (_, reader, _, _) = self.layer_table()[:2]
        if first.bytes is not None:
            return []  # sums of bytes are exact
        return [(name, first(x[..., None]), reader)]


# Classes of nets; called with (spec, *shape of an input, classes).
NETS: Registry[Any] = Registry("net")
