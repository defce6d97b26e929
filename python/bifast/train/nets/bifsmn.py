"""BiFSMN and BiFSMNv2: stem, memory blocks, classifier (arXiv 2202.06483, 2211.06987)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from bifast.train.binarizers import BINARIZERS
from bifast.train.export import Builder
from bifast.train.nets.base import DEPTH_NAMES, NETS, KeywordNet, NetSpec
from bifast.train.nets.layer import Layer, Relu
from bifast.train.nets.layers import Conv2d, Dense, Memory
from bifast.train.nets.norm import DepthNorm, PositivePRelu

BLOCKS = 8
WIDTH = 128
HIDDEN = 256
STEM = (16, 32)
TAPS = (2, 2)
# First weight of the batch norms that feed the residual stream. At 1 the stream grows to a deviation
# of 2.6 over the blocks, outside +-1, where sign has no gradient: 120 steps of commands8 reach 36 %
# right in training, 46 % at 0.4 and 50 % at 0.2 (with twice the rate).
RESIDUAL_GAIN = 0.2


def kept_blocks(depth: int, blocks: int = BLOCKS) -> tuple[int, ...]:
    """Return the blocks that run at a depth: every 2^depth-th, the last one always."""
    return tuple(i for i in range(blocks) if (i + 1) % 2**depth == 0)


class Block(nn.Module):
    """Memory with residual, then expand and project with residual, on a stream [B, T', C].

    Only the batch norm and PReLU after `project` are private to each depth.
    """

    def __init__(self, spec: NetSpec, *, teacher: bool) -> None:
        super().__init__()
        n, per_channel = spec.depths, spec.slopes == "channel"
        sets = n if spec.statistics == "depth" else 1

        def slopes(channels: int, sets: int = 1) -> PositivePRelu:
            return PositivePRelu(channels if per_channel else 1, sets)

        self.memory = Memory(
            WIDTH,
            *TAPS,
            binarizer=spec.binarizer,
            norm=DepthNorm(WIDTH, sets, gain=RESIDUAL_GAIN),
            act=slopes(WIDTH),
        )
        self.expand = Dense(
            WIDTH,
            HIDDEN,
            binarizer=spec.binarizer,
            norm=DepthNorm(HIDDEN, sets),
            act=Relu() if teacher else slopes(HIDDEN),
        )
        self.project = Dense(
            HIDDEN,
            WIDTH,
            binarizer=spec.binarizer,
            norm=DepthNorm(WIDTH, n, private=True, gain=RESIDUAL_GAIN),
            act=slopes(WIDTH, n),
        )
        self.dropout = spec.dropout

    def forward(self, stream: Tensor, depth: int) -> Tensor:
        """[B, T', C] -> [B, T', C]."""
        stream = self.memory(stream, depth, stream)
        hidden = functional.dropout(self.expand(stream, depth), self.dropout, self.training)
        out: Tensor = self.project(hidden, depth, stream)
        return out


@NETS.register("bifsmn")
class BiFsmn(KeywordNet):
    """The papers' net; with the binarizer `full` its full-precision twin.

    BiFSMNv2 is the same net with the binarizer `bifsmnv2`: two planes of bits in each binary layer.

    Parameters
    ----------
    spec
        The recipe's description.
    frames, mels, classes
        T, M and K; T and M are multiples of 4.
    """

    byte_ends = True
    teacher = False

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(frames, mels, classes, DEPTH_NAMES[: spec.depths])
        if frames % 4 or mels % 4:
            raise ValueError(
                f"net {spec.name}: frames and bands must be multiples of 4, got {frames} and {mels}; "
                "change frontend.hop (512 gives 32 frames, 253 gives 64) or frontend.n_mels"
            )
        per_channel = spec.slopes == "channel"

        def act(channels: int) -> PositivePRelu | Relu:
            return Relu() if self.teacher else PositivePRelu(channels if per_channel else 1)

        c1, c2 = STEM
        stem = spec.stem_binarizer or spec.binarizer
        ends: Any = {"binarizer": spec.ends, "reads_bytes": spec.ends == "int8"}
        self.conv1 = Conv2d(1, c1, 5, 2, **ends, norm=DepthNorm(c1, 1), act=act(c1))
        self.conv2 = Conv2d(c1, c2, 5, 2, binarizer=stem, norm=DepthNorm(c2, 1), act=act(c2))
        self.fc1 = Dense(
            c2 * mels // 4,
            WIDTH,
            positions=mels // 4,
            binarizer=BINARIZERS[stem].linear or stem,
            act=act(WIDTH),
        )
        self.blocks = nn.ModuleList([Block(spec, teacher=self.teacher) for _ in range(spec.blocks)])
        self.classifier = Dense(WIDTH * frames // 4, classes, **ends)
        self.dropout = spec.dropout

    def features(self, x: Tensor) -> Tensor:
        """[B, T, M] -> [B, T/4, 128]."""
        x = self.conv2(self.conv1(x[..., None]))  # (B, T/4, M/4, 32)
        out: Tensor = self.fc1(x.flatten(2))
        return out

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """[B, T/4, 128] -> logits [B, K] and the output of each block that runs."""
        outputs = {}
        for index in self.kept(depth):
            stream = outputs[index] = self.blocks[index](stream, depth)
        flat = functional.dropout(stream.flatten(1), self.dropout, self.training)
        return self.classifier(flat), outputs

    def kept(self, depth: int) -> tuple[int, ...]:
        """Return the blocks that run at a depth."""
        return kept_blocks(depth, len(self.blocks))

    def wire(self, builder: Builder) -> None:
        """Add the net to a model file; the memory reads one buffer of bits and writes another."""
        t, m, (c1, c2) = self.frames, self.mels, STEM
        depths = tuple(range(len(self.depths)))
        audio = builder.buffer("f32", t, m, 1)
        audio = builder.bytes_of("stem.conv1", self.conv1, depths, audio)
        inner = self.blocks[0]
        wide = builder.bits(t // 2, m // 2, c1, self.conv2)
        narrow = builder.bits(t // 4, m // 4, c2, self.fc1)
        stream = builder.buffer("f32", t // 4, 1, WIDTH)
        signs = builder.bits(t // 4, 1, WIDTH, inner.memory)
        recalled = builder.bits(t // 4, 1, WIDTH, inner.expand)
        hidden = builder.bits(t // 4, 1, HIDDEN, inner.project)

        def next_memory(index: int) -> dict[int, Layer]:
            """For each depth that runs block `index`, the memory that reads after it."""
            kept = {d: [i for i in self.kept(d) if i > index] for d in depths}
            return {d: self.blocks[left[0]].memory for d, left in kept.items() if left}

        builder.layer("stem.conv1", self.conv1, depths, audio, out_bits=wide, reader=self.conv2)
        builder.layer("stem.conv2", self.conv2, depths, wide, out_bits=narrow, reader=self.fc1)
        builder.layer(
            "fc1", self.fc1, depths, narrow, out_f32=stream, out_bits=signs, reader=next_memory(-1)
        )
        for index, block in enumerate(self.blocks):
            name, kept = f"block{index}", tuple(d for d in depths if index in self.kept(d))
            memory, expand, project = block.memory, block.expand, block.project
            last = index == len(self.blocks) - 1
            builder.layer(
                f"{name}.memory",
                memory,
                kept,
                signs,
                residual=stream,
                out_f32=stream,
                out_bits=recalled,
                reader=expand,
            )
            builder.layer(f"{name}.expand", expand, kept, recalled, out_bits=hidden, reader=project)
            builder.layer(
                f"{name}.project",
                project,
                kept,
                hidden,
                residual=stream,
                out_f32=stream,
                out_bits=None if last else signs,
                reader=None if last else next_memory(index),
            )
        stream = builder.bytes_of("classifier", self.classifier, depths, stream)
        scores = builder.buffer("f32", 1, 1, self.classes)
        builder.layer("classifier", self.classifier, depths, stream, out_f32=scores)

    def layer_table(self) -> list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]:
        """Return every layer with its input size and the depths that run it."""
        t, m = self.frames, self.mels
        everywhere = tuple(range(len(self.depths)))
        rows: list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]] = [
            ("stem.conv1", self.conv1, (t, m), everywhere),
            ("stem.conv2", self.conv2, (t // 2, m // 2), everywhere),
            ("fc1", self.fc1, (t // 4, 1), everywhere),
        ]
        for index, block in enumerate(self.blocks):
            depths = tuple(d for d in everywhere if index in self.kept(d))
            for name in ("memory", "expand", "project"):
                rows.append((f"block{index}.{name}", getattr(block, name), (t // 4, 1), depths))
        rows.append(("classifier", self.classifier, (1, 1), everywhere))
        return rows


@NETS.register("bifsmn-teacher")
class BiFsmnTeacher(BiFsmn):
    """The full-precision teacher: ReLU in stem, fc1 and between the dense pair of each block."""

    teacher = True
