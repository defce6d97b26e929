"""The plain feedforward sequential memory net: memory layers on the features, no convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from bifast.train.export import Builder
from bifast.train.nets.base import DEPTH_NAMES, NETS, KeywordNet, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.nets.layers import Dense, Memory
from bifast.train.nets.norm import DepthNorm, PositivePRelu
from bifast.train.nets.stage import Stage

WIDTH = 128
HIDDEN = 256
CONTEXT = 3  # frames on each side


class FsmnLayer(nn.Module):
    """y = F1 x + F2 memory(x), then batch norm and PReLU: [B, T, C] -> [B, T, 128].

    Parameters
    ----------
    c_in
        C; divides 256.
    spec
        The recipe's description.
    binarizer
        Of F1; the memory and F2 have the recipe's.
    """

    def __init__(self, c_in: int, spec: NetSpec, binarizer: str) -> None:
        super().__init__()
        per_channel = spec.slopes == "channel"
        self.direct = Dense(c_in, WIDTH, binarizer=binarizer, bias=False)
        self.memory = Memory(
            c_in,
            CONTEXT,
            CONTEXT,
            filters=HIDDEN // c_in,
            binarizer=spec.binarizer,
            bias=False,
        )
        self.mix = Dense(HIDDEN, WIDTH, binarizer=spec.binarizer, bias=False)
        act = PositivePRelu(WIDTH if per_channel else 1)
        self.stage = Stage(WIDTH, DepthNorm(WIDTH, 1), act)

    def sums(self, x: Tensor) -> Tensor:
        """Return y before batch norm and PReLU."""
        out: Tensor = self.mix(self.memory(x), residual=self.direct(x))
        return out


@NETS.register("fsmn")
class Fsmn(KeywordNet):
    """The plain FSMN of BiFSMNv2's comparison; with the binarizer `full` its full-precision twin.

    Eight layers y_t = F1 x_t + F2 m_t, where the memory m filters the 32 bands, and the 128 channels
    after them, to 256 by 7 taps (3 frames on each side); a classifier reads all frames. F1 of the
    first layer and the classifier stay in full precision. One depth.

    Not as the released net:

    - The features are normalised for each band, so that their signs say something; the first layer's
      memory reads those signs.
    - y is normalised: without it the sums of the full-precision net shrink from layer to layer. F1
      has no bias then.
    - Which input channel a filter reads: i % C, not i // (256 / C), another order of the same filters.

    Parameters
    ----------
    spec
        The recipe's description: one depth.
    frames, mels, classes
        T, M and K; M divides 256.

    Raises
    ------
    ValueError
        If the recipe asks for what such a net does not have.
    """

    def __init__(self, spec: NetSpec, frames: int, mels: int, classes: int) -> None:
        super().__init__(frames, mels, classes, DEPTH_NAMES[:1])
        for key, expected in (("depths", 1), ("dropout", 0.0)):
            if (got := getattr(spec, key)) != expected:
                raise ValueError(f"net fsmn: set net.{key} = {expected!r}, got {got!r}")
        if spec.blocks < 2:
            raise ValueError(f"net fsmn: net.blocks: expected at least 2 layers, got {spec.blocks}")
        if HIDDEN % mels:
            raise ValueError(f"net fsmn: bands must divide {HIDDEN}, got {mels}")
        self.bands = Stage(mels, DepthNorm(mels, 1))
        widths = [mels] + [WIDTH] * (spec.blocks - 1)
        self.layers = nn.ModuleList(
            [
                FsmnLayer(c_in, spec, "full" if i == 0 else spec.binarizer)
                for i, c_in in enumerate(widths)
            ]
        )
        self.classifier = Dense(WIDTH * frames, classes, positions=frames, binarizer="full")

    def features(self, x: Tensor) -> Tensor:
        """[B, T, M] -> the same, normalised."""
        out: Tensor = self.bands(x)
        return out

    def backbone(self, stream: Tensor, depth: int) -> tuple[Tensor, dict[int, Tensor]]:
        """[B, T, M] -> logits [B, K] and y of each layer, [B, T, 128]."""
        outputs = {}
        for index, layer in enumerate(self.layers):
            outputs[index] = layer.sums(stream)
            stream = layer.stage(outputs[index])
        return self.classifier(stream.flatten(1)), outputs

    def first_signs(self, x: Tensor) -> list[tuple[str, Tensor, Layer]]:
        """Find the signs of the first layer's output: F1 there is a sum of floats."""
        first = self.layers[0]
        values = first.stage(first.sums(self.features(x)))
        return [(f"layer1.{role}.signs", values, reader) for role, reader in self._readers(1)]

    def _readers(self, index: int) -> list[tuple[str, Layer]]:
        """Return what reads the input of a layer, each by its own signs."""
        layer = self.layers[index]
        return [("direct", layer.direct), ("memory", layer.memory)]

    def wire(self, builder: Builder) -> None:
        """Add the net to a model file."""
        t, m, depths = self.frames, self.mels, (0,)
        audio = builder.buffer("f32", t, m, 1)
        bands = builder.buffer("f32", t, 1, m)
        first = self.layers[0].memory
        sources = {"direct": bands, "memory": builder.bits(t, 1, m, first)}
        sums, out = (builder.buffer("f32", t, 1, WIDTH) for _ in range(2))
        hidden = builder.bits(t, 1, HIDDEN, self.layers[0].mix)
        signs = {role: builder.bits(t, 1, WIDTH, reader) for role, reader in self._readers(1)}
        scores = builder.buffer("f32", 1, 1, self.classes)

        builder.layer(
            "bands",
            self.bands,
            depths,
            audio,
            out_f32=bands,
            out_bits=sources["memory"],
            reader=first,
        )
        for index, layer in enumerate(self.layers):
            name = f"layer{index}"
            builder.layer(f"{name}.direct", layer.direct, depths, sources["direct"], out_f32=sums)
            builder.layer(
                f"{name}.memory", layer.memory, depths, sources["memory"],
                out_bits=hidden, reader=layer.mix,
            )  # fmt: skip
            builder.layer(f"{name}.mix", layer.mix, depths, hidden, residual=sums, out_f32=sums)
            if index == len(self.layers) - 1:
                break
            for role, reader in self._readers(index + 1):
                sources[role] = signs[role]
                builder.layer(
                    f"layer{index + 1}.{role}.signs", layer.stage, depths, sums,
                    out_bits=signs[role], reader=reader,
                )  # fmt: skip
        builder.layer("stage", self.layers[-1].stage, depths, sums, out_f32=out)
        builder.layer("classifier", self.classifier, depths, out, out_f32=scores)

    def layer_table(self) -> list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]]:
        """Return every layer with a product, its input size, and the one depth."""
        rows: list[tuple[str, Layer, tuple[int, int], tuple[int, ...]]] = []
        for index, layer in enumerate(self.layers):
            for role in ("direct", "memory", "mix"):
                rows.append((f"layer{index}.{role}", getattr(layer, role), (self.frames, 1), (0,)))
        rows.append(("classifier", self.classifier, (1, 1), (0,)))
        return rows
