"""Our keyword net: a residual net on the spectrogram, its stream real, its convolutions binary (C = channels)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bifast.train.binarizers import BINARIZERS
from bifast.train.export import Builder
from bifast.train.nets.base import DEPTH_NAMES, NETS, KeywordNet, NetSpec
from bifast.train.nets.bifsmn import RESIDUAL_GAIN, kept_blocks
from bifast.train.nets.layer import Layer
from bifast.train.nets.layers import Conv2d, Dense
from bifast.train.nets.norm import DepthNorm, PositivePRelu
from bifast.train.nets.pool import AveragePool, Halve

NARROW, WIDE = 64, 128
STEM_KERNEL, STEM_STRIDE = 7, 4

Rows = list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]


@NETS.register("kws")
class Kws(KeywordNet):
    """A real convolution that quarters time and bands, two stages of binary ones, mean, dense.

    BiFSMN binarizes what leaves its first layer, so that all that follows sees bits of it; there the depths
    differ by less than a point, because the blocks have little left to tell apart. Here every binary
    convolution has a shortcut round it (Bi-Real Net, arXiv 1808.00278), so that the stream is never
    reduced to its signs. Between the stages the shortcut is the mean of 2 x 2 positions and a real 1 x 1
    convolution. A thin depth leaves out blocks of both stages.

    Parameters
    ----------
    spec
        The recipe's description; `blocks` are those of each stage.
    frames, mels, classes
        T, M and K; T and M are multiples of 8.

    Raises
    ------
    ValueError
        If the recipe asks for what such a net does not have.
    """

    byte_ends = True

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(frames, mels, classes, DEPTH_NAMES[: spec.depths])
        for key, expected in (("dropout", 0.0), ("stem_binarizer", "")):
            if (got := getattr(spec, key)) != expected:
                raise ValueError(f"net kws: set net.{key} = {expected!r}, got {got!r}")
        if frames % 8 or mels % 8:
            raise ValueError(
                f"net kws: frames and bands must be multiples of 8, got {frames} and {mels}; "
                "change frontend.hop (512 gives 32 frames, 253 gives 64) or frontend.n_mels"
            )
        self.spec = spec
        # Only before signs does the last bit of a float matter.
        ends: Any = {
            "binarizer": spec.ends,
            "reads_bytes": spec.ends == "int8",
            "ordered": BINARIZERS[spec.binarizer].binary,
        }
        self.stem = Conv2d(
            1,
            NARROW,
            STEM_KERNEL,
            STEM_STRIDE,
            norm=DepthNorm(NARROW, 1),
            act=self._act(NARROW),
            **ends,
        )
        self.narrow = self._stage(NARROW)
        self.halve = Halve(NARROW)
        self.shortcut = Conv2d(NARROW, WIDE, 1, 1, norm=self._norm(WIDE, 1.0), **ends)
        self.down = self._binary(NARROW, WIDE, 2)
        self.wide = self._stage(WIDE)
        self.pool = AveragePool(WIDE, ordered=ends["ordered"])
        self.classifier = Dense(WIDE, classes, **ends)

    def _act(self, channels: int) -> PositivePRelu:
        return PositivePRelu(channels if self.spec.slopes == "channel" else 1)

    def _norm(self, channels: int, gain: float) -> DepthNorm:
        sets = self.spec.depths if self.spec.statistics == "depth" else 1
        return DepthNorm(channels, sets, gain=gain)

    def _binary(self, c_in: int, c_out: int, stride: int) -> Conv2d:
        norm, act = self._norm(c_out, RESIDUAL_GAIN), self._act(c_out)
        return Conv2d(c_in, c_out, 3, stride, binarizer=self.spec.binarizer, norm=norm, act=act)

    def _stage(self, channels: int) -> nn.ModuleList:
        return nn.ModuleList([self._binary(channels, channels, 1) for _ in range(self.spec.blocks)])

    def kept(self, depth: int) -> tuple[int, ...]:
        """Return the blocks of each stage that run at a depth."""
        return kept_blocks(depth, self.spec.blocks)

    def features(self, x: Tensor) -> Tensor:
        """[B, T, M] -> [B, T/4, M/4, 64]."""
        out: Tensor = self.stem(x[..., None])
        return out

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """[B, T/4, M/4, 64] -> logits [B, K] and the stream after each block that runs."""
        outputs = {}
        for index in self.kept(depth):
            stream = outputs[index] = self.narrow[index](stream, depth, stream)
        stream = self.down(stream, depth, self.shortcut(self.halve(stream), depth))
        for index in self.kept(depth):
            stream = outputs[self.spec.blocks + index] = self.wide[index](stream, depth, stream)
        return self.classifier(self.pool(stream)), outputs

    def first_signs(self, x: Tensor) -> list[tuple[str, Tensor, Layer]]:
        """Return nothing: all sums before signs have the engine's order."""
        return []

    def _sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (height, width) of both stages."""
        size = self.stem.output_positions((self.frames, self.mels))
        return size, self.down.output_positions(size)

    def layer_table(self) -> Rows:
        """Return every layer with its input size and the depths that run it."""
        first, second = self._sizes()
        depths = range(len(self.depths))
        everywhere = tuple(depths)
        rows: Rows = [("stem", self.stem, (self.frames, self.mels), everywhere)]

        def stage(name: str, blocks: nn.ModuleList, size: tuple[int, int]) -> None:
            for index, block in enumerate(blocks):
                kept = tuple(d for d in depths if index in self.kept(d))
                rows.append((f"{name}{index}", block, size, kept))

        stage("narrow", self.narrow, first)
        rows.append(("down", self.down, first, everywhere))
        rows.append(("shortcut", self.shortcut, second, everywhere))
        stage("wide", self.wide, second)
        rows.append(("classifier", self.classifier, (1, 1), everywhere))
        return rows

    def wire(self, builder: Builder) -> None:
        """Add the net to a model file; a stage has one buffer of floats and two of bits in turn."""
        first, second = self._sizes()
        everywhere = tuple(range(len(self.depths)))
        audio = builder.buffer("f32", self.frames, self.mels, 1)
        stream = builder.buffer("f32", *first, NARROW)
        signs = [builder.bits(*first, NARROW, self.down) for _ in range(2)]
        halved = builder.buffer("f32", *second, NARROW)
        wide = builder.buffer("f32", *second, WIDE)
        wide_signs = [builder.bits(*second, WIDE, self.down) for _ in range(2)]
        pooled = builder.buffer("f32", 1, 1, WIDE)

        builder.layer(
            "stem",
            self.stem,
            everywhere,
            builder.bytes_of("stem", self.stem, everywhere, audio),
            out_f32=stream,
            out_bits=signs[0],
            reader=self._readers(self.narrow, -1, self.down),
        )
        self._wire_stage(builder, "narrow", self.narrow, stream, signs, self.down)
        builder.layer("halve", self.halve, everywhere, stream, out_f32=halved)
        halved = builder.bytes_of("shortcut", self.shortcut, everywhere, halved)
        builder.layer("shortcut", self.shortcut, everywhere, halved, out_f32=wide)
        for turn, depths in self._turns(self.spec.blocks).items():
            readers = self._readers(self.wide, -1, None)
            builder.layer(
                "down",
                self.down,
                depths,
                signs[turn],
                residual=wide,
                out_f32=wide,
                out_bits=wide_signs[0],
                reader={d: readers[d] for d in depths},
            )
        self._wire_stage(builder, "wide", self.wide, wide, wide_signs, None)
        builder.layer("mean", self.pool, everywhere, wide, out_f32=pooled)
        pooled = builder.bytes_of("classifier", self.classifier, everywhere, pooled)
        scores = builder.buffer("f32", 1, 1, self.classes)
        builder.layer("classifier", self.classifier, everywhere, pooled, out_f32=scores)

    def _turns(self, index: int) -> dict[int, tuple[int, ...]]:
        """Return, for each of a stage's two buffers of bits, the depths that hold in it what block `index` reads.

        Each block reads one and writes the other; how many have run before depends on the depth. `index` may
        be the number of blocks: what reads after the last one.
        """
        turns: dict[int, tuple[int, ...]] = {}
        for depth in range(len(self.depths)):
            if index < self.spec.blocks and index not in self.kept(depth):
                continue
            turn = sum(i < index for i in self.kept(depth)) % 2
            turns[turn] = (*turns.get(turn, ()), depth)
        return turns

    def _readers(
        self, blocks: nn.ModuleList, index: int, after: Layer | None
    ) -> dict[int, Layer | None]:
        """Return, for each depth, the layer that reads what block `index` of a stage writes."""
        left = {d: [i for i in self.kept(d) if i > index] for d in range(len(self.depths))}
        return {d: blocks[later[0]] if later else after for d, later in left.items()}

    def _wire_stage(
        self,
        builder: Builder,
        name: str,
        blocks: nn.ModuleList,
        stream: int,
        signs: list[int],
        after: Layer | None,
    ) -> None:
        for index, block in enumerate(blocks):
            readers = self._readers(blocks, index, after)
            for turn, depths in self._turns(index).items():
                read = any(readers[d] for d in depths)
                builder.layer(
                    f"{name}{index}",
                    block,
                    depths,
                    signs[turn],
                    residual=stream,
                    out_f32=stream,
                    out_bits=signs[1 - turn] if read else None,
                    reader={d: readers[d] for d in depths} if read else None,
                )
