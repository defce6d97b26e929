"""Residual nets with a shortcut round every binary convolution, as Bi-Real Net (arXiv 1808.00278)."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.export import Builder
from bifast.train.nets.base import NETS, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.nets.layers import Conv2d, Dense
from bifast.train.nets.norm import DepthNorm
from bifast.train.nets.pool import AveragePool, MaxPool, Subsample
from bifast.train.nets.vision import VisionNet

Rows = list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]


class Unit(nn.Module):
    """x -> prelu(norm(conv3x3(x))) + shortcut(x), on a stream [B, H, W, C].

    Parameters
    ----------
    conv
        The convolution with its batch norm and activation.
    shortcut
        What makes x as large as the output where that differs, or None.
    """

    def __init__(self, conv: Conv2d, shortcut: Subsample | Conv2d | None) -> None:
        super().__init__()
        self.conv = conv
        self.shortcut = shortcut

    def forward(self, stream: Tensor) -> Tensor:
        """[B, H, W, c_in] -> [B, H', W', c_out]."""
        beside = stream if self.shortcut is None else self.shortcut(stream)
        out: Tensor = self.conv(stream, 0, beside)
        return out


class ResNet(VisionNet):
    """Stem, stages of units, mean over all positions, dense.

    Parameters
    ----------
    spec
        The recipe's description.
    height, width, channels, classes
        H, W, C and K.
    widths
        Channels of each stage; every stage but the first halves height and width.
    units
        Units of a stage: twice the blocks of the original net.
    """

    # Of the first convolution.
    stem_kernel = 3
    stem_stride = 1

    def __init__(
        self,
        spec: NetSpec,
        height: int,
        width: int,
        channels: int,
        classes: int,
        *,
        widths: tuple[int, ...],
        units: int,
    ) -> None:
        super().__init__(spec, height, width, channels, classes)
        self.stem = self.make_stem(channels, widths[0])
        found, c_in = [], widths[0]
        for stage, c_out in enumerate(widths):
            for index in range(units):
                stride = 2 if stage and index == 0 else 1
                conv = Conv2d(
                    c_in,
                    c_out,
                    3,
                    stride,
                    binarizer=spec.binarizer,
                    norm=DepthNorm(c_out, 1),
                    act=self.act(c_out),
                )
                beside = self.make_shortcut(c_in, c_out, stride) if c_in != c_out else None
                found.append(Unit(conv, beside))
                c_in = c_out
        self.units = nn.ModuleList(found)
        self.pool = AveragePool(c_in, ordered=self.ordered)
        self.classifier = Dense(c_in, classes, binarizer=self.spec.ends, ordered=self.ordered)

    def make_stem(self, channels: int, width: int) -> Conv2d:
        """Return the first convolution."""
        return Conv2d(
            channels,
            width,
            self.stem_kernel,
            self.stem_stride,
            binarizer=self.spec.ends,
            norm=DepthNorm(width, 1),
            act=self.act(width),
            ordered=self.ordered,
        )

    def make_shortcut(self, c_in: int, c_out: int, stride: int) -> Subsample | Conv2d:
        """Return what leads past a unit that changes the shape."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> stream [B, H', W', width]."""
        out: Tensor = self.stem(self.normal(x))
        return out

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """Stream -> logits [B, K] and the stream after each unit."""
        outputs = {}
        for index, unit in enumerate(self.units):
            stream = outputs[index] = unit(stream)
        return self.classifier(self.pool(stream)), outputs

    def layer_table(self) -> Rows:
        """Return every layer with a product, its input size, and the one depth."""
        size = self.shape[0], self.shape[1]
        rows: Rows = [("stem", self.stem, size, (0,))]
        size = self.stream_size()
        for index, unit in enumerate(self.units):
            if isinstance(unit.shortcut, Layer):
                rows.append((f"unit{index}.shortcut", unit.shortcut, size, (0,)))
            rows.append((f"unit{index}", unit.conv, size, (0,)))
            size = unit.conv.output_positions(size)
        rows.append(("classifier", self.classifier, (1, 1), (0,)))
        return rows

    def stream_size(self) -> tuple[int, int]:
        """Return (height, width) of what the first unit reads."""
        return self.stem.output_positions((self.shape[0], self.shape[1]))

    def wire(self, builder: Builder) -> None:
        """Add the net to a model file; a stage has one buffer of floats and two of bits in turn."""
        stream, signs = self.wire_stem(builder)
        height, width = self.stream_size()
        for index, unit in enumerate(self.units):
            conv, name = unit.conv, f"unit{index}"
            source, target = signs
            if unit.shortcut is not None:
                height, width = conv.output_positions((height, width))
                beside = builder.buffer("f32", height, width, conv.weight.shape[0])
                builder.layer(f"{name}.shortcut", unit.shortcut, (0,), stream, out_f32=beside)
                stream = beside
                target = builder.bits(height, width, conv.weight.shape[0], conv)
            last = index == len(self.units) - 1
            builder.layer(
                name,
                conv,
                (0,),
                source,
                residual=stream,
                out_f32=stream,
                out_bits=None if last else target,
                reader=None if last else self.units[index + 1].conv,
            )
            if unit.shortcut is not None:
                source = builder.bits(height, width, conv.weight.shape[0], conv)
            signs = target, source
        pooled = builder.buffer("f32", 1, 1, self.pool.channels)
        scores = builder.buffer("f32", 1, 1, self.classes)
        builder.layer("mean", self.pool, (0,), stream, out_f32=pooled)
        builder.layer("classifier", self.classifier, (0,), pooled, out_f32=scores)

    def wire_stem(self, builder: Builder) -> tuple[int, tuple[int, int]]:
        """Add what comes before the units; returns the buffers of the stream and of its signs."""
        first, width = self.units[0].conv, self.stem.weight.shape[0]
        size = self.stream_size()
        colours = self.wire_colours(builder)
        stream = builder.buffer("f32", *size, width)
        signs = builder.bits(*size, width, first), builder.bits(*size, width, first)
        builder.layer(
            "stem", self.stem, (0,), colours, out_f32=stream, out_bits=signs[0], reader=first
        )
        return stream, signs


@NETS.register("resnet20")
class ResNet20(ResNet):
    """ResNet-20 for small images (arXiv 1512.03385, section 4.2): 16, 32, 64 channels, 18 units.

    Convolution 3 x 3 in full precision, shortcut A. As IR-Net's net (arXiv 1909.10788), but with PReLU
    before each sum where that clips the sum with hardtanh.
    """

    def __init__(self, spec: NetSpec, height: int, width: int, channels: int, classes: int) -> None:
        sizes = (height, width, channels, classes)
        super().__init__(spec, *sizes, widths=(16, 32, 64), units=6)

    def make_shortcut(self, c_in: int, c_out: int, stride: int) -> Subsample:
        """Return shortcut A."""
        return Subsample(c_in, c_out, stride)


@NETS.register("resnet18")
class ResNet18(ResNet):
    """ResNet-18 for ImageNet's shapes (arXiv 1512.03385): 64, 128, 256, 512 channels, 16 units.

    Convolution 7 x 7 and the 1 x 1 shortcuts in full precision, as Bi-Real Net and IR-Net.
    """

    stem_kernel = 7
    stem_stride = 2

    def __init__(self, spec: NetSpec, height: int, width: int, channels: int, classes: int) -> None:
        sizes = (height, width, channels, classes)
        super().__init__(spec, *sizes, widths=(64, 128, 256, 512), units=4)
        self.reduce = MaxPool(64, 3, 2)

    def make_shortcut(self, c_in: int, c_out: int, stride: int) -> Conv2d:
        """Return a 1 x 1 convolution with batch norm."""
        norm = DepthNorm(c_out, 1)
        return Conv2d(
            c_in, c_out, 1, stride, binarizer=self.spec.ends, norm=norm, ordered=self.ordered
        )

    def features(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H / 4, W / 4, 64]."""
        out: Tensor = self.reduce(super().features(x))
        return out

    def stream_size(self) -> tuple[int, int]:
        """Return the size after pooling."""
        height, width = super().stream_size()
        return (height + 1) // 2, (width + 1) // 2

    def wire_stem(self, builder: Builder) -> tuple[int, tuple[int, int]]:
        """Add the stem and the pooling behind it."""
        first, width = self.units[0].conv, self.stem.weight.shape[0]
        size = self.stream_size()
        colours = self.wire_colours(builder)
        wide = builder.buffer("f32", *super().stream_size(), width)
        stream = builder.buffer("f32", *size, width)
        signs = builder.bits(*size, width, first), builder.bits(*size, width, first)
        builder.layer("stem", self.stem, (0,), colours, out_f32=wide)
        builder.layer(
            "pool", self.reduce, (0,), wide, out_f32=stream, out_bits=signs[0], reader=first
        )
        return stream, signs
