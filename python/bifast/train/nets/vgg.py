"""VGG-Small, the plain net that binarizers are compared on (arXiv 1909.10788, after 1502.04942)."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.export import Builder
from bifast.train.nets.base import NETS, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.nets.layers import Conv2d, Dense
from bifast.train.nets.norm import DepthNorm
from bifast.train.nets.pool import MaxPool
from bifast.train.nets.vision import VisionNet

# Channels in and out, and whether a pooling follows.
LAYERS = (
    (128, 128, True),
    (128, 256, False),
    (256, 256, True),
    (256, 512, False),
    (512, 512, True),
)


@NETS.register("vgg-small")
class VggSmall(VisionNet):
    """Convolution 128 in full precision; binary 128, 256, 256, 512, 512; three poolings; dense.

    Batch norm follows the pooling, where there is one: the largest of four signs would nearly always be +1.

    Parameters
    ----------
    spec
        The recipe's description.
    height, width, channels, classes
        H, W, C and K; H and W are multiples of 8.
    """

    def __init__(self, spec: NetSpec, height: int, width: int, channels: int, classes: int) -> None:
        super().__init__(spec, height, width, channels, classes)
        if height % 8 or width % 8:
            raise ValueError(
                f"net {spec.name}: height and width must be multiples of 8, got {height} x {width}"
            )
        first = LAYERS[0][0]
        self.stem = Conv2d(
            channels,
            first,
            3,
            1,
            binarizer=self.spec.ends,
            norm=DepthNorm(first, 1),
            act=self.act(first),
            ordered=self.ordered,
        )
        convs, pools = [], {}
        for index, (c_in, c_out, pooled) in enumerate(LAYERS):
            norm, act = DepthNorm(c_out, 1), self.act(c_out)
            if pooled:
                pools[str(index)] = MaxPool(c_out, 2, 2, norm, act)
                conv = Conv2d(c_in, c_out, 3, 1, binarizer=spec.binarizer, bias=False)
            else:
                conv = Conv2d(c_in, c_out, 3, 1, binarizer=spec.binarizer, norm=norm, act=act)
            convs.append(conv)
        self.convs, self.pools = nn.ModuleList(convs), nn.ModuleDict(pools)
        last = height // 8 * (width // 8)
        self.classifier = Dense(
            LAYERS[-1][1] * last,
            classes,
            positions=last,
            binarizer=self.spec.ends,
            ordered=self.ordered,
        )

    def features(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, 128]."""
        out: Tensor = self.stem(self.normal(x))
        return out

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """[B, H, W, 128] -> logits [B, K] and what each layer, with its pooling, gives."""
        outputs = {}
        for index, conv in enumerate(self.convs):
            stream = conv(stream)
            if str(index) in self.pools:
                stream = self.pools[str(index)](stream)
            outputs[index] = stream
        return self.classifier(stream.flatten(1)), outputs

    def layer_table(self) -> list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]:
        """Return every layer with a product, its input size, and the one depth."""
        height, width = self.shape[:2]
        rows: list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]
        rows = [("stem", self.stem, (height, width), (0,))]
        for index, conv in enumerate(self.convs):
            rows.append((f"conv{index}", conv, (height, width), (0,)))
            if str(index) in self.pools:
                height, width = height // 2, width // 2
        rows.append(("classifier", self.classifier, (1, 1), (0,)))
        return rows

    def wire(self, builder: Builder) -> None:
        """Add the net to a model file."""
        height, width = self.shape[:2]
        colours = self.wire_colours(builder)
        signs = builder.bits(height, width, LAYERS[0][0], self.convs[0])
        builder.layer("stem", self.stem, (0,), colours, out_bits=signs, reader=self.convs[0])
        for index, conv in enumerate(self.convs):
            channels, name = conv.weight.shape[0], f"conv{index}"
            follower = self.convs[index + 1] if index + 1 < len(self.convs) else None
            source, layer = signs, conv
            if str(index) in self.pools:
                sums = builder.buffer("f32", height, width, channels)
                builder.layer(name, conv, (0,), source, out_f32=sums)
                source, layer, name = sums, self.pools[str(index)], f"{name}.pool"
                height, width = height // 2, width // 2
            if follower is None:
                out = builder.buffer("f32", height, width, channels)
                builder.layer(name, layer, (0,), source, out_f32=out)
            else:
                signs = builder.bits(height, width, channels, follower)
                builder.layer(name, layer, (0,), source, out_bits=signs, reader=follower)
        scores = builder.buffer("f32", 1, 1, self.classes)
        builder.layer("classifier", self.classifier, (0,), out, out_f32=scores)
