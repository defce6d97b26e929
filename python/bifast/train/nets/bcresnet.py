"""BC-ResNet-1: the strongest small float net known for keywords (arXiv 2106.04140)."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.nets.base import NETS, NetSpec
from bifast.train.nets.peer import PeerNet

MELS = 40
HEAD = 16
# Of each stage: channels, blocks, stride over the bands, dilation over time (table 1, tau = 1).
STAGES = ((8, 2, 1, 1), (12, 2, 2, 2), (16, 4, 2, 4), (20, 4, 1, 8))
TAIL = 32
SUB_BANDS = 5


class SubSpectralNorm(nn.Module):
    """Batch norm of its own for each group of neighbouring bands, [B, C, F, T] (arXiv 2103.13620)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * SUB_BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; F is a multiple of `SUB_BANDS`."""
        batch, channels, bands, time = x.shape
        grouped = x.reshape(batch, channels * SUB_BANDS, bands // SUB_BANDS, time)
        out: Tensor = self.norm(grouped).reshape(batch, channels, bands, time)
        return out


class Block(nn.Module):
    """Broadcasted residual block on [B, C, F, T]: y = relu(x + f2(x) + f1(mean of f2(x) over F)).

    f2 filters over the bands, f1 over time. The first block of a stage changes the channels and has
    no x in its sum.

    Parameters
    ----------
    c_in, c_out
        Channels.
    stride
        Over the bands.
    dilation
        Over time.
    first
        Whether it is the first of its stage.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, dilation: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        widen = [nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        over_bands = nn.Conv2d(c_out, c_out, (3, 1), (stride, 1), (1, 0), groups=c_out, bias=False)
        self.bands = nn.Sequential(*(widen if first else []), over_bands, SubSpectralNorm(c_out))
        self.time = nn.Sequential(
            nn.Conv2d(
                c_out,
                c_out,
                (1, 3),
                padding=(0, dilation),
                dilation=(1, dilation),
                groups=c_out,
                bias=False,
            ),
            nn.BatchNorm2d(c_out),
            nn.SiLU(),
            nn.Conv2d(c_out, c_out, 1, bias=False),
        )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[B, c_in, F, T] -> [B, c_out, F / stride, T]."""
        bands = self.bands(x)
        out = bands + self.time(bands.mean(2, keepdim=True))
        if not self.first:
            out = out + x
        y: Tensor = self.act(out)
        return y


@NETS.register("bc-resnet-1")
class BcResNet(PeerNet):
    """Convolution, four stages of broadcasted residual blocks, depthwise convolution, mean.

    The features get zero mean and unit variance first (running statistics, nothing learned): the
    zeros around a clip would be loud among decibels.

    Parameters
    ----------
    spec
        The recipe's description.
    frames, mels, classes
        T, M = 40, and K.
    """

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(spec, frames, mels, classes)
        if mels != MELS:
            raise ValueError(f"net {spec.name} takes {MELS} bands, got {mels}; set frontend.n_mels")
        blocks: list[nn.Module] = []
        c_in = HEAD
        for channels, count, stride, dilation in STAGES:
            blocks.append(Block(c_in, channels, stride, dilation, first=True))
            blocks += [
                Block(channels, channels, 1, dilation, first=False) for _ in range(count - 1)
            ]
            c_in = channels
        self.net = nn.Sequential(
            nn.BatchNorm2d(1, affine=False),
            nn.Conv2d(1, HEAD, 5, (2, 1), 2, bias=False),
            nn.BatchNorm2d(HEAD),
            nn.ReLU(),
            *blocks,
            nn.Conv2d(c_in, c_in, 5, padding=(0, 2), groups=c_in, bias=False),
            nn.Conv2d(c_in, TAIL, 1, bias=False),
            nn.BatchNorm2d(TAIL),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(TAIL, classes, 1),
            nn.Flatten(),
        )

    def logits(self, x: Tensor) -> Tensor:
        """[B, T, 40] -> [B, K]."""
        out: Tensor = self.net(x.transpose(1, 2)[:, None])
        return out
