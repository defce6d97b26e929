"""Random nets whose first and last layer multiply bytes: features become bytes, bits lie between."""

from __future__ import annotations

import numpy as np
from model_factory import Builder, Pair, conv_stage, dense_and_blocks, out_size

from bifast.format import FrontendParams, ModelFile


def quantise(b: Builder, name: str, source: int, scale: float, shift: float) -> int:
    """Add floats to bytes; return the buffer of bytes."""
    target = b.buffer("u8", b.buffers[source].shape)
    scalars = [b.tensor("f32", np.full((1, 1), value, np.float32)) for value in (scale, shift)]
    b.add(name, "quantise", source, out_f32=target, scale=scalars[0], shift=scalars[1])
    return target


def byte_stem(b: Builder, source: int, channels: int, kernel: Pair, stride: Pair, fill: int) -> int:
    """Add a convolution of bytes to bits, its padding bytes `fill`; return their buffer."""
    height, width, c_in = b.buffers[source].shape
    pad = (kernel[0] // 2, kernel[1] // 2)
    sizes = zip((height, width), kernel, stride, pad, (1, 1), strict=True)
    target = b.buffer("bits", (*(out_size(*axis) for axis in sizes), channels))
    k = kernel[0] * kernel[1] * c_in
    b.add(
        "stem",
        "byte_conv2d",
        source,
        out_bits=target,
        kernel=kernel,
        stride=stride,
        pad=pad,
        dilation=(1, 1),
        weights=b.bytes(k, channels),
        fill=fill,
        **b.affine(channels, 1e4 * k**0.5, slope="each"),
    )
    return target


def byte_net(seed: int, frontend: FrontendParams | None = None, *, labels: int = 9) -> ModelFile:
    """Return a net for sounds whose first and last layer have weights of bytes; three depths."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(5, 12)), int(rng.integers(3, 9)), 1)
    if frontend is not None:
        shape = (frontend.n_frames, frontend.n_mels, 1)
    b = Builder(seed + 1, shape, ("full", "half", "quarter"))
    # Decibels with a front-end, else numbers about 0.
    first = quantise(b, "bytes", 0, *((2.0, 150.5) if frontend is not None else (60.0, 128.5)))
    stem, memory = int(rng.integers(1, 40)), int(rng.integers(1, 150))
    fill = int(rng.integers(1, 256))
    image = byte_stem(b, first, stem, (5, 3), (1 + seed % 2, 2), fill)
    image = conv_stage(
        b, "middle", "binary_conv2d", image, stem + 3, (3, 3), (1, 1), (1, 1), planes=1
    )
    frames = dense_and_blocks(b, image, memory, 60, rng)
    height = b.buffers[frames].shape[0]
    last = quantise(b, "last bytes", frames, 20.0, 128.5)
    logits = b.buffer("f32", (1, 1, labels))
    b.add(
        "classifier",
        "byte_conv2d",
        last,
        out_f32=logits,
        kernel=(height, 1),
        stride=(1, 1),
        dilation=(1, 1),
        weights=b.bytes(height * memory, labels),
        **b.affine(labels, 1e6, slope="none"),
    )
    return ModelFile(
        frontend,
        [f"label{i}" for i in range(labels)],
        b.depths,
        b.buffers,
        b.tensors,
        b.ops,
        {"name": "bytes", "licence": "none", "seed": 0},
    )
