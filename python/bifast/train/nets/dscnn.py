"""DS-CNN: the keyword net of MLPerf Tiny (arXiv 2106.07597, after arXiv 1711.07128)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bifast.train.nets.base import NETS, NetSpec
from bifast.train.nets.peer import PeerNet

COEFFICIENTS = 10
WIDTH = 64
BLOCKS = 4


def cosines(mels: int, count: int) -> Tensor:
    """Return the first `count` columns of the orthonormal DCT-II, [mels, count]."""
    band = torch.arange(mels, dtype=torch.float64)[:, None] + 0.5
    order = torch.arange(count, dtype=torch.float64)
    table = torch.cos(math.pi / mels * band * order) * math.sqrt(2 / mels)
    table[:, 0] /= math.sqrt(2)
    return table.float()


def separable(channels: int) -> list[nn.Module]:
    """Return a depthwise 3 x 3 and a pointwise convolution, each with batch norm and ReLU."""
    return [
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


@NETS.register("ds-cnn")
class DsCnn(PeerNet):
    """Convolution 10 x 4, four depthwise separable blocks of 64 channels, mean, dense.

    As in MLPerf Tiny it sees ten cepstral coefficients; their cosine transform of the log-mel bands
    is a constant of the net. Coefficients get zero mean and unit variance first (running statistics,
    nothing learned). Biases that a batch norm cancels are left out, and dropout.

    Parameters
    ----------
    spec
        The recipe's description.
    frames, mels, classes
        T, M >= 10 and K.
    """

    table: Tensor

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(spec, frames, mels, classes)
        if mels < COEFFICIENTS:
            raise ValueError(
                f"net {spec.name} needs {COEFFICIENTS} bands, got {mels}; set frontend.n_mels"
            )
        self.register_buffer("table", cosines(mels, COEFFICIENTS), persistent=False)
        self.norm = nn.BatchNorm1d(COEFFICIENTS, affine=False)
        self.net = nn.Sequential(
            nn.ZeroPad2d((1, 1, 4, 5)),  # as TensorFlow's SAME
            nn.Conv2d(1, WIDTH, (10, 4), 2, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            *(layer for _ in range(BLOCKS) for layer in separable(WIDTH)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(WIDTH, classes),
        )

    def logits(self, x: Tensor) -> Tensor:
        """[B, T, M] -> [B, K]."""
        cepstrum = self.norm((x @ self.table).transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.net(cepstrum[:, None])
        return out
