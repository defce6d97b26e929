"""Random models for tests: one layer of any kind, nets with every kind, and the BiFSMN shape.

Everything is a function of a seed. Shapes are [height (time), width (mel), channels].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bifast import Word
from bifast.format import FRONTEND_PAPER, Buffer, FrontendParams, Level, ModelFile, Op, Tensor

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]
Pair = tuple[int, int]

SMALL_FRONTEND = FrontendParams(
    sample_rate=8000,
    window_samples=700,
    n_fft=128,
    win_length=100,
    hop=60,
    n_mels=7,
    center=False,
    f_min=100.0,
    f_max=3900.0,
    power_divisor=3.0,
    floor=1e-8,
)


# Type of a buffer of so many planes; 0 for floats.
BITS = ("f32", "bits", "bits2")


def out_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Positions of a convolution padded alike before and behind; at least one."""
    return max(1, 1 + (size + 2 * pad - dilation * (kernel - 1) - 1) // stride)


class Builder:
    """Collects buffers, tensors and operations of one model."""

    def __init__(
        self,
        seed: int,
        input_shape: Shape,
        depths: tuple[str, ...] = ("full",),
        input_type: str = "f32",
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.buffers = [Buffer(input_type, *input_shape)]
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.depths = depths
        self.mask = (1 << len(depths)) - 1

    def buffer(self, kind: str, shape: Shape) -> int:
        self.buffers.append(Buffer(kind, *shape))
        return len(self.buffers) - 1

    def tensor(self, dtype: str, array: Array) -> int:
        self.tensors.append(Tensor(dtype, array))
        return len(self.tensors) - 1

    def floats(self, cols: int, *, spread: float = 1.0, center: float = 0.0, rows: int = 1) -> int:
        """Add random floats, f16 in one of three cases."""
        values = self.rng.normal(center, spread, (rows, cols))
        dtype = "f16" if self.rng.integers(3) == 0 else "f32"
        return self.tensor(dtype, np.clip(values, -6e4, 6e4))

    def bits(self, rows: int, cols: int) -> int:
        return self.tensor("bits", self.rng.integers(0, 2, (rows, cols)))

    def affine(self, channels: int, spread: float, *, slope: str = "shared") -> dict[str, int]:
        """Scale, shift and slope ("shared", "each", "none") for sums of about `spread`."""
        stage = {
            "scale": self.floats(channels, spread=1.0 / spread),
            "shift": self.floats(channels, spread=0.3),
        }
        if slope != "none":
            stage["slope"] = self.floats(channels if slope == "each" else 1, spread=0.2, center=0.2)
        return stage

    def threshold(self, channels: int, k: int) -> dict[str, int]:
        """Thresholds about 0 with both extremes among them, and flips."""
        values = np.rint(self.rng.normal(0, max(1.0, k**0.5), (1, channels)))
        values = np.clip(values, -k, k + 1)
        extremes = self.rng.integers(0, 12, (1, channels))
        values = np.where(extremes == 0, -k, np.where(extremes == 1, k + 1, values))
        dtype = "i32" if k > 32000 or self.rng.integers(2) else "i16"
        return {"threshold": self.tensor(dtype, values), "flip": self.bits(1, channels)}

    def add(self, name: str, code: str, source: int, **fields: Any) -> None:
        fields.setdefault("depth_mask", self.mask)
        if self.buffers[source].type == "bits2":
            fields.setdefault("plane_scale", float(np.float32(self.rng.uniform(0.05, 2.0))))
        self.ops.append(Op(name=name, code=code, input=source, **fields))

    def signs(self, source: int, *, planes: int = 1) -> int:
        """Add the signs of a float buffer in one or two planes; return their buffer."""
        shape = self.buffers[source].shape
        target = self.buffer(BITS[planes], shape)
        self.add("signs", "elementwise", source, out_bits=target)
        return target

    def bytes(self, rows: int, cols: int) -> int:
        """Add random i8 with both extremes among them."""
        values = self.rng.integers(-128, 128, (rows, cols))
        values.flat[:2] = -128, 127
        return self.tensor("i8", values)

    def weights(self, code: str, k: int, c_out: int) -> int:
        if code == "byte_conv2d":
            return self.bytes(k, c_out)
        if code == "conv2d":
            return self.floats(c_out, rows=k, spread=1.0 / k**0.5)
        return self.bits(k, c_out) if code == "binary_memory" else self.bits(c_out, k)

    def model(self, source: int, labels: int, frontend: FrontendParams | None = None) -> ModelFile:
        """Finish with a dense layer from a float buffer to the labels, pooled where it is large."""
        height, width, channels = self.buffers[source].shape
        if max(height, width) > 255:
            height, width, pooled = 1, 1, self.buffer("f32", (1, 1, channels))
            self.add("pool", "average_pool", source, out_f32=pooled)
            source = pooled
        logits = self.buffer("f32", (1, 1, labels))
        weights = self.weights("conv2d", height * width * channels, labels)
        self.add(
            "classifier",
            "conv2d",
            source,
            out_f32=logits,
            kernel=(height, width),
            stride=(1, 1),
            dilation=(1, 1),
            weights=weights,
            **self.affine(labels, 1.0, slope="none"),
        )
        return ModelFile(
            frontend,
            [f"label{i}" for i in range(labels)],
            self.depths,
            self.buffers,
            self.tensors,
            self.ops,
            {"name": "random", "licence": "none", "seed": 0},
        )


def layer_model(
    code: str,
    *,
    shape: Shape,
    channels: int,
    kernel: Pair | None = None,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
    stage: str = "affine",
    residual: bool = False,
    planes: Pair = (1, 1),
    sign_thresholds: bool = False,
    seed: int = 0,
) -> ModelFile:
    """Return a model whose layer "layer" is of one kind and shape.

    `stage` is "threshold", "affine", "slopes" (one per channel), "plain" (neither scale nor slope)
    or "bits" (affine to bits alone). Binary layers get their bits from the input's signs. `planes`
    are those of the input and of the output; `sign_thresholds` says whether the latter are not cut
    at zero. Without a kernel, pooling takes the whole input, the others one position.
    """
    kernel = kernel or ((0, 0) if code.endswith("_pool") else (1, 1))
    b = Builder(seed, shape, input_type="u8" if code == "byte_conv2d" else "f32")
    source = b.signs(0, planes=planes[0]) if code.startswith("binary") else 0
    c_in = shape[2]
    fields: dict[str, Any] = {}
    target = shape
    k = 1
    pools = code.endswith("_pool")
    if pools and kernel == (0, 0):
        target = (1, 1, c_in)
    elif code != "elementwise":
        sizes = zip(shape[:2], kernel, stride, pad, dilation, strict=True)
        target = (*(out_size(*axis) for axis in sizes), c_in if pools else channels)
        fields = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    if code == "subsample":
        fields = {"stride": stride}
    elif code.endswith(("conv2d", "memory")):
        k = kernel[0] * kernel[1] * (1 if code == "binary_memory" else c_in)
        fields["weights"] = b.weights(code, k, channels)
    if residual:
        wide = b.weights("conv2d", c_in, target[2])
        fields["residual"] = b.buffer("f32", target)
        b.add(
            "shortcut",
            "conv2d",
            0,
            out_f32=fields["residual"],
            kernel=(1, 1),
            stride=stride,
            dilation=(1, 1),
            weights=wide,
        )
    if stage == "threshold":
        fields |= b.threshold(target[2], k)
    elif stage != "plain":
        slope = {"affine": "shared", "slopes": "each", "bits": "none"}[stage]
        spread = k**0.5 * (1e4 if code == "byte_conv2d" else 1.0)
        fields |= b.affine(target[2], spread, slope=slope)
    if stage not in ("threshold", "bits"):
        fields["out_f32"] = b.buffer("f32", target)
    fields["out_bits"] = b.buffer(BITS[planes[1]], target)
    if sign_thresholds:
        fields["threshold"] = b.floats(target[2], rows=planes[1], spread=0.5)
    b.add("layer", code, source, **fields)
    return b.model(fields.get("out_f32", 0), 5)


def dense_and_blocks(
    b: Builder, image: int, memory: int, hidden: int, rng: np.random.Generator
) -> int:
    """Add a dense layer from signs to `memory` channels and four blocks; return their floats."""
    height, wide, channels = b.buffers[image].shape
    frames = b.buffer("f32", (height, 1, memory))
    signs = b.buffer("bits", (height, 1, memory))
    b.add(
        "dense",
        "binary_conv2d",
        image,
        out_f32=frames,
        out_bits=signs,
        kernel=(1, wide),
        stride=(1, 1),
        dilation=(1, 1),
        weights=b.weights("binary_conv2d", wide * channels, memory),
        **b.affine(memory, (wide * channels) ** 0.5),
    )
    for i in range(4):
        level = [depth for depth in range(3) if (i + 1) % (1 << depth) == 0]
        block(b, f"block{i}", frames, signs, hidden, level, taps=int(rng.integers(1, 6)))
    return frames


def random_net(seed: int, *, frontend: FrontendParams | None = None) -> ModelFile:
    """Return a small net with every kind of layer, three depths and odd channel counts."""
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 4))
    shape = (int(rng.integers(3, 12)), int(rng.integers(3, 9)), width)
    if frontend is not None:
        shape = (frontend.n_frames, frontend.n_mels, 1)
    b = Builder(seed + 1, shape, ("full", "half", "quarter"))
    stem, memory, hidden = (int(n) for n in rng.integers(1, [40, 150, 200]))
    image = conv_stage(b, "stem", "conv2d", 0, stem, (3, 3), (2, 1), (1, 1), planes=1)
    image = conv_stage(
        b, "middle", "binary_conv2d", image, stem + 3, (3, 2), (1, 2), (1, 0), planes=1
    )
    frames = dense_and_blocks(b, image, memory, hidden, rng)
    normal = b.buffer("f32", b.buffers[frames].shape)
    b.add("normal", "elementwise", frames, out_f32=normal, **b.affine(memory, 1.0, slope="each"))
    b.add("twice", "elementwise", normal, out_f32=normal, residual=frames)
    pooled = b.buffer("f32", (1, 1, memory))
    b.add("pool", "average_pool", normal, out_f32=pooled)
    return b.model(pooled, int(rng.integers(1, 20)), frontend)


def tuned(model: ModelFile) -> ModelFile:
    """Give a model words and a cascade: label 0 is no word, the second depth is left out."""
    words = [Word(0.5 + 0.4 / (i + 1), 0.1 * i, 1.0) for i in range(len(model.labels))]
    levels = [Level(float(np.float32(0.3 * i)), 0.5 * i) for i in range(len(model.depths))]
    return replace(
        model,
        words=[None, *words[1:]],
        cascade=[level if i != 1 else None for i, level in enumerate(levels)],
    )


def conv_stage(
    b: Builder,
    name: str,
    code: str,
    source: int,
    channels: int,
    kernel: Pair,
    stride: Pair,
    pad: Pair,
    *,
    planes: int,
) -> int:
    """Add a convolution to so many planes of bits (0: to floats); return its buffer.

    One plane of a binary convolution is cut by integer thresholds.
    """
    height, width, c_in = b.buffers[source].shape
    k = kernel[0] * kernel[1] * c_in
    shape = (
        out_size(height, kernel[0], stride[0], pad[0], 1),
        out_size(width, kernel[1], stride[1], pad[1], 1),
        channels,
    )
    target = b.buffer(BITS[planes], shape)
    thresholds = planes == 1 and code != "conv2d"
    b.add(
        name,
        code,
        source,
        kernel=kernel,
        stride=stride,
        pad=pad,
        dilation=(1, 1),
        weights=b.weights(code, k, channels),
        **({"out_bits": target} if planes else {"out_f32": target}),
        **(b.threshold(channels, k) if thresholds else b.affine(channels, k**0.5)),
    )
    return target


def block(
    b: Builder, name: str, frames: int, first: int, hidden: int, depths: list[int], *, taps: int
) -> None:
    """Add an FSMN block in place: memory, expand, and one `project` for each depth.

    All share weights; only the last output stage is private to a depth.
    """
    height, _, channels = b.buffers[frames].shape
    mask = sum(1 << depth for depth in depths)
    unit = {"stride": (1, 1), "dilation": (1, 1)}
    wide = b.buffer("bits", (height, 1, hidden))
    second = b.buffer("bits", (height, 1, channels))
    b.add(
        f"{name}.memory",
        "binary_memory",
        first,
        residual=frames,
        out_f32=frames,
        out_bits=second,
        kernel=(taps, 1),
        pad=(taps // 2, 0),
        weights=b.bits(taps, channels),
        depth_mask=mask,
        **unit,
        **b.affine(channels, taps**0.5),
    )
    b.add(
        f"{name}.expand",
        "binary_conv2d",
        second,
        out_bits=wide,
        kernel=(1, 1),
        weights=b.bits(hidden, channels),
        depth_mask=mask,
        **unit,
        **b.threshold(hidden, channels),
    )
    project = b.bits(channels, hidden)
    for depth in depths:
        b.add(
            f"{name}.project.{b.depths[depth]}",
            "binary_conv2d",
            wide,
            residual=frames,
            out_f32=frames,
            out_bits=first,
            kernel=(1, 1),
            weights=project,
            depth_mask=1 << depth,
            **unit,
            **b.affine(channels, hidden**0.5),
        )


def bifsmn(seed: int = 0, *, blocks: int = 8, labels: int = 12) -> ModelFile:
    """Return the papers' net: 32 x 32 log-mel, stem to 128 channels, blocks 128-256-128, four depths."""
    b = Builder(seed, (32, 32, 1), ("full", "half", "quarter", "eighth"))
    image = conv_stage(b, "stem.conv1", "conv2d", 0, 16, (5, 5), (2, 2), (2, 2), planes=1)
    # Decibels lie about -40: a shift that centres them, so that signs carry something.
    shift = b.ops[-1].shift
    assert shift is not None
    weights = b.tensors[b.ops[-1].weights or 0].array.astype(np.float64)
    scale = b.tensors[b.ops[-1].scale or 0].array.astype(np.float64)
    b.tensors[shift] = Tensor("f32", 40.0 * weights.sum(axis=0, keepdims=True) * scale)
    image = conv_stage(
        b, "stem.conv2", "binary_conv2d", image, 32, (5, 5), (2, 2), (2, 2), planes=1
    )
    frames, first = b.buffer("f32", (8, 1, 128)), b.buffer("bits", (8, 1, 128))
    b.add(
        "stem.dense",
        "binary_conv2d",
        image,
        out_f32=frames,
        out_bits=first,
        kernel=(1, 8),
        stride=(1, 1),
        dilation=(1, 1),
        weights=b.bits(128, 256),
        **b.affine(128, 16.0),
    )
    for i in range(blocks):
        depths = [depth for depth in range(4) if (i + 1) % (1 << depth) == 0]
        block(b, f"block{i}", frames, first, 256, depths, taps=5)
    return b.model(frames, labels, FRONTEND_PAPER)


def features_for(model: ModelFile, seed: int = 0) -> Array:
    """Random features of the model's input shape: decibels with a front-end, bytes, or about 0."""
    rng = np.random.default_rng(seed)
    if model.buffers[0].type == "u8":
        return rng.integers(0, 256, model.buffers[0].shape).astype(np.float32)
    x = rng.normal(size=model.buffers[0].shape)
    if model.frontend is not None:
        x = 20.0 * x - 40.0
    return np.asarray(x, np.float32)


def with_k_65535(seed: int = 0) -> ModelFile:
    """Return a model whose binary layers sum 65535 products: the largest count that fits."""
    model = layer_model(
        "binary_conv2d",
        shape=(3, 5, 4369),
        channels=3,
        kernel=(3, 5),
        stage="plain",
        seed=seed,
    )
    layer = next(op for op in model.ops if op.name == "layer")
    weights = np.array(model.tensors[layer.weights or 0].array)
    weights[0] = 0  # all differ from an input of +1
    weights[1] = 1
    tensors = list(model.tensors)
    tensors[layer.weights or 0] = Tensor("bits", weights)
    return replace(model, tensors=tuple(tensors))
