"""Random residual nets on images: pooling, both kinds of shortcut, bytes as weights."""

from __future__ import annotations

from typing import Any

from model_factory import Builder, Pair, out_size

from bifast.format import ModelFile


def pool(b: Builder, code: str, source: int, kernel: Pair, stride: Pair, pad: Pair) -> int:
    """Add pooling with a window; return its buffer."""
    height, width, channels = b.buffers[source].shape
    sizes = zip((height, width), kernel, stride, pad, (1, 1), strict=True)
    target = b.buffer("f32", (*(out_size(*axis) for axis in sizes), channels))
    geometry: dict[str, Any] = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": (1, 1)}
    b.add(code, code, source, out_f32=target, **geometry)
    return target


def shortcut(b: Builder, source: int, stride: int, channels: int, kind: str) -> int:
    """Add a shortcut to fewer positions and more channels: `a` or `project`; return its buffer."""
    height, width, c_in = b.buffers[source].shape
    if kind == "a":
        shape = (-(-height // stride), -(-width // stride), channels)
        target = b.buffer("f32", shape)
        b.add("shortcut", "subsample", source, out_f32=target, stride=(stride, stride))
        return target
    pooled = pool(b, "average_pool", source, (stride, stride), (stride, stride), (0, 0))
    target = b.buffer("f32", (*b.buffers[pooled].shape[:2], channels))
    b.add(
        "project",
        "conv2d",
        pooled,
        out_f32=target,
        kernel=(1, 1),
        stride=(1, 1),
        dilation=(1, 1),
        weights=b.bytes(c_in, channels),
        **b.affine(channels, 200.0, slope="none"),
    )
    return target


def block(b: Builder, name: str, source: int, stride: int, channels: int, kind: str) -> int:
    """Add signs, a binary 3 x 3 convolution and a shortcut; return the buffer of their sum."""
    residual = source
    if (stride, channels) != (1, b.buffers[source].channels):
        residual = shortcut(b, source, stride, channels, kind)
    bits = b.signs(source)
    target = b.buffer("f32", b.buffers[residual].shape)
    c_in = b.buffers[source].channels
    b.add(
        name,
        "binary_conv2d",
        bits,
        residual=residual,
        out_f32=target,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        dilation=(1, 1),
        weights=b.weights("binary_conv2d", 9 * c_in, channels),
        **b.affine(channels, (9 * c_in) ** 0.5, slope="none"),
    )
    return target


def image_net(
    seed: int, *, shape: tuple[int, int, int] = (14, 12, 3), labels: int = 5, first: str = "conv2d"
) -> ModelFile:
    """Return a small residual net without front-end, whose first layer takes floats or bytes."""
    b = Builder(seed, shape, input_type="u8" if first == "byte_conv2d" else "f32")
    stem, wide = int(b.rng.integers(3, 12)), int(b.rng.integers(20, 90))
    image = b.buffer("f32", (*shape[:2], stem))
    b.add(
        "stem",
        first,
        0,
        out_f32=image,
        kernel=(3, 3),
        stride=(1, 1),
        pad=(1, 1),
        dilation=(1, 1),
        weights=b.bytes(9 * shape[2], stem),
        **b.affine(stem, 400.0 if first == "conv2d" else 5e4),
    )
    image = pool(b, "max_pool", image, (3, 3), (2, 2), (1, 1))
    image = block(b, "block0", image, 1, stem, "a")
    image = block(b, "block1", image, 2, wide, "a")
    image = block(b, "block2", image, 1, wide, "a")
    even = pool(b, "average_pool", image, (2, 2), (1, 1), (1, 1))
    image = block(b, "block3", even, 2, wide + 7, "project")
    pooled = b.buffer("f32", (1, 1, wide + 7))
    b.add("pool", "average_pool", image, out_f32=pooled)
    return b.model(pooled, labels)
