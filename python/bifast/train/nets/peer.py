"""Base of the nets that others made: full precision, one depth, here to be compared with."""

from __future__ import annotations

from torch import Tensor

from bifast.errors import UnsupportedError
from bifast.train.export import Builder
from bifast.train.nets.base import DEPTH_NAMES, KeywordNet, NetSpec


class PeerNet(KeywordNet):
    """A float net of PyTorch's own layers; the engine does not run it, `bench/frontier.py` does.

    Parameters
    ----------
    spec
        The recipe's description: `full`, one depth, no dropout.
    frames, mels, classes
        T, M and K.

    Raises
    ------
    ValueError
        If the recipe asks for what such a net does not have.
    """

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(frames, mels, classes, DEPTH_NAMES[:1])
        self.name = spec.name
        for key, expected in (("binarizer", "full"), ("depths", 1), ("dropout", 0.0)):
            if (got := getattr(spec, key)) != expected:
                raise ValueError(
                    f"net {spec.name} is a float net of one depth: set net.{key} = {expected!r}, "
                    f"got {got!r}"
                )

    def logits(self, x: Tensor) -> Tensor:
        """[B, T, M] -> [B, K]."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """[B, T, M], as it is: there is nothing that several depths would share."""
        return x

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """[B, T, M] -> logits [B, K], and no block outputs."""
        return self.logits(stream), {}

    def wire(self, builder: Builder) -> None:
        """Refuse: the engine has no float blocks."""
        raise UnsupportedError(
            f"net {self.name} is a float net to compare with; the engine does not run it "
            "(bench/frontier.py runs it in onnxruntime)"
        )
