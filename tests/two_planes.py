"""Random nets whose bits come in two planes, with filters that widen the channels."""

from __future__ import annotations

from typing import Any

from model_factory import Builder, conv_stage

from bifast.format import FrontendParams, ModelFile

UNIT: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1)}


def thresholds(b: Builder, channels: int, planes: int = 2) -> int:
    """Add thresholds of signs: one row for each plane."""
    return b.floats(channels, rows=planes, spread=0.4)


def two_plane_net(seed: int, *, frontend: FrontendParams | None = None) -> ModelFile:
    """Return a small net with two depths: two planes through every kind of binary layer."""
    b = Builder(seed, (9, 6, 2), ("full", "half"))
    if frontend is not None:
        b = Builder(seed, (frontend.n_frames, frontend.n_mels, 1), ("full", "half"))
    stem, width, taps = (int(n) for n in b.rng.integers([3, 20, 3], [20, 150, 6]))
    image = conv_stage(b, "stem", "conv2d", 0, stem, (3, 3), (2, 1), (1, 1), planes=2)
    image = conv_stage(b, "middle", "binary_conv2d", image, 9, (3, 2), (1, 2), (1, 0), planes=2)
    height, mels, _ = b.buffers[image].shape
    frames, bits = b.buffer("f32", (height, 1, width)), b.buffer("bits2", (height, 1, width))
    b.add(
        "dense",
        "binary_conv2d",
        image,
        out_f32=frames,
        out_bits=bits,
        kernel=(1, mels),
        weights=b.weights("binary_conv2d", mels * 9, width),
        threshold=thresholds(b, width),
        **UNIT,
        **b.affine(width, 6.0),
    )
    for i in range(3):
        block(b, f"block{i}", frames, bits, [0] if i == 0 else [0, 1], taps)
    single_plane(b, frames, taps)
    return b.model(frames, 7, frontend)


def block(b: Builder, name: str, frames: int, bits: int, depths: list[int], taps: int) -> None:
    """Add filters that double the channels, and a product that halves them, with a residual.

    Thresholds of the signs at the end are private to a depth.
    """
    height, _, channels = b.buffers[frames].shape
    mask = sum(1 << depth for depth in depths)
    wide = b.buffer("bits2", (height, 1, 2 * channels))
    b.add(
        f"{name}.memory",
        "binary_memory",
        bits,
        out_bits=wide,
        kernel=(taps, 1),
        pad=(taps // 2, 0),
        weights=b.bits(taps, 2 * channels),
        depth_mask=mask,
        threshold=thresholds(b, 2 * channels),
        **UNIT,
        **b.affine(2 * channels, taps**0.5),
    )
    weights, scale = b.bits(channels, 2 * channels), float(b.rng.integers(1, 9)) / 8
    for depth in depths:
        b.add(
            f"{name}.project.{b.depths[depth]}",
            "binary_conv2d",
            wide,
            residual=frames,
            out_f32=frames,
            out_bits=bits,
            kernel=(1, 1),
            weights=weights,
            depth_mask=1 << depth,
            threshold=thresholds(b, channels),
            plane_scale=scale,
            **UNIT,
            **b.affine(channels, (2 * channels) ** 0.5),
        )


def single_plane(b: Builder, frames: int, taps: int) -> None:
    """Add a branch of one plane: a sign with thresholds, and integers behind widening filters."""
    height, _, channels = b.buffers[frames].shape
    signs = b.buffer("bits", (height, 1, channels))
    wide = b.buffer("bits", (height, 1, 3 * channels))
    b.add("signs", "elementwise", frames, out_bits=signs, threshold=thresholds(b, channels, 1))
    b.add(
        "filters",
        "binary_memory",
        signs,
        out_bits=wide,
        kernel=(taps, 1),
        pad=(taps - 1, 0),
        weights=b.bits(taps, 3 * channels),
        **UNIT,
        **b.threshold(3 * channels, taps),
    )
    b.add(
        "sum",
        "binary_conv2d",
        wide,
        residual=frames,
        out_f32=frames,
        kernel=(1, 1),
        weights=b.bits(channels, 3 * channels),
        **UNIT,
        **b.affine(channels, (3 * channels) ** 0.5),
    )
