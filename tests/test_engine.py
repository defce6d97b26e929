"""The engine against the oracle: every kind of layer and whole nets, bit for bit, on every ISA."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_factory import (
    SMALL_FRONTEND,
    bifsmn,
    features_for,
    layer_model,
    random_net,
    with_k_65535,
)
from reference import run
from reference_frontend import log_mel

import bifast
from bifast import _core
from bifast.format import ModelFile, Tensor

Array = npt.NDArray[Any]


def assert_same_bits(got: Array, expected: Array, what: str) -> None:
    assert got.shape == expected.shape, what
    if expected.dtype == np.float32:
        # NaN may differ in payload; -0.0 and 0.0 may not be confused.
        same = (got.view(np.uint32) == expected.view(np.uint32)) | (
            np.isnan(got) & np.isnan(expected)
        )
    else:
        same = got == expected
    assert same.all(), f"{what}: {np.count_nonzero(~same)} of {same.size} differ"


def assert_equals_oracle(model: ModelFile, isa: str, features: Array | None = None) -> None:
    """Compare logits and every layer's outputs at every depth."""
    engine = _core.Model(model.to_bytes(), isa)
    assert engine.isa == isa
    f = features_for(model, seed=1) if features is None else features
    for depth, name in enumerate(model.depths):
        expected = run(model, f, depth)
        logits, layers = engine.trace(f, depth)
        assert [layer[0] for layer in layers] == [layer.name for layer in expected.layers]
        for (layer, is_bits, array), reference in zip(layers, expected.layers, strict=True):
            assert is_bits == reference.is_bits
            assert_same_bits(array, reference.array, f"depth {name}, layer {layer}")
        assert_same_bits(logits, expected.logits, f"logits at depth {name}")
        assert_same_bits(engine.run_features(f[None], depth, 1)[0], logits, "run_features")


# ---- one layer -----------------------------------------------------------------------------------------

# Depths of binary sums and channel counts about the edges of words, vectors and tiles.
SIZES = [
    1,
    2,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    129,
    190,
    192,
    193,
    255,
    256,
    257,
]
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "point": {"shape": (1, 1, 1), "channels": 1},
    "1x1": {"shape": (5, 4, 24), "channels": 40},
    "1x1-strided": {"shape": (7, 5, 9), "channels": 11, "stride": (2, 3)},
    "3x3-same": {"shape": (6, 7, 5), "channels": 12, "kernel": (3, 3), "pad": (1, 1)},
    "5x5-stem": {
        "shape": (16, 16, 16),
        "channels": 32,
        "kernel": (5, 5),
        "stride": (2, 2),
        "pad": (2, 2),
    },
    "dilated": {
        "shape": (11, 9, 3),
        "channels": 6,
        "kernel": (3, 2),
        "dilation": (3, 4),
        "pad": (3, 2),
    },
    "causal": {"shape": (9, 1, 20), "channels": 30, "kernel": (4, 1), "pad": (3, 0)},
    "whole-rows": {"shape": (8, 8, 32), "channels": 128, "kernel": (1, 8)},
    "whole-input": {"shape": (4, 6, 10), "channels": 33, "kernel": (4, 6)},
    "kernel-over-input": {"shape": (2, 3, 4), "channels": 5, "kernel": (5, 7), "pad": (2, 3)},
    "mostly-padding": {
        "shape": (2, 2, 3),
        "channels": 4,
        "kernel": (2, 2),
        "stride": (3, 3),
        "pad": (9, 9),
    },
    "even": {"shape": (6, 6, 8), "channels": 8, "kernel": (2, 4), "stride": (2, 1), "pad": (0, 1)},
    "255-taps": {"shape": (300, 1, 1), "channels": 2, "kernel": (255, 1), "pad": (4, 0)},
    "33-rows": {"shape": (33, 1, 130), "channels": 70},
}
AFFINE_STAGES = ["affine", "slopes", "plain", "bits"]


@pytest.mark.parametrize("stage", AFFINE_STAGES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_equals_oracle(case: str, stage: str, isa: str) -> None:
    assert_equals_oracle(layer_model("conv2d", **CONVOLUTIONS[case], stage=stage), isa)


@pytest.mark.parametrize("stage", [*AFFINE_STAGES, "threshold"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_binary_conv2d_equals_oracle(case: str, stage: str, isa: str) -> None:
    assert_equals_oracle(layer_model("binary_conv2d", **CONVOLUTIONS[case], stage=stage), isa)


@pytest.mark.parametrize("stage", ["affine", "threshold"])
@pytest.mark.parametrize("c_in", SIZES)
@pytest.mark.parametrize("c_out", [1, 65, 192])
def test_binary_dense_equals_oracle_at_odd_widths(
    c_in: int, c_out: int, stage: str, isa: str
) -> None:
    model = layer_model("binary_conv2d", shape=(3, 1, c_in), channels=c_out, stage=stage, seed=c_in)
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("stage", ["affine", "bits", "threshold"])
@pytest.mark.parametrize("channels", [1, 8, 63, 65, 128, 190])
@pytest.mark.parametrize(
    ("taps", "pad", "dilation"),
    [(1, 0, 1), (5, 2, 1), (4, 3, 1), (3, 4, 4), (29, 14, 1), (57, 20, 1), (255, 100, 1)],
)
def test_binary_memory_equals_oracle(
    taps: int, pad: int, dilation: int, channels: int, stage: str, isa: str
) -> None:
    model = layer_model(
        "binary_memory",
        shape=(60, 1, channels),
        channels=channels,
        kernel=(taps, 1),
        pad=(pad, 0),
        dilation=(dilation, 1),
        stage=stage,
    )
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("stage", AFFINE_STAGES)
@pytest.mark.parametrize("channels", SIZES[::3])
@pytest.mark.parametrize("code", ["elementwise", "average_pool"])
def test_layers_without_weights_equal_oracle(
    code: str, channels: int, stage: str, isa: str
) -> None:
    model = layer_model(code, shape=(5, 3, channels), channels=channels, stage=stage)
    assert_equals_oracle(model, isa)


# Enough positions, and channels in whole words: what a kernel for all positions at once takes.
WIDE: dict[str, dict[str, Any]] = {
    "same": {"shape": (9, 9, 64), "channels": 96, "kernel": (3, 3), "pad": (1, 1)},
    "strided": {
        "shape": (13, 12, 128),
        "channels": 96,
        "kernel": (3, 3),
        "stride": (2, 2),
        "pad": (1, 1),
    },
    "uneven": {
        "shape": (15, 18, 60),
        "channels": 96,
        "kernel": (2, 4),
        "stride": (2, 1),
        "pad": (0, 3),
        "dilation": (3, 2),
    },
    "no-padding": {"shape": (9, 9, 192), "channels": 96, "kernel": (2, 2)},
    "deep": {"shape": (6, 6, 192), "channels": 96, "kernel": (3, 3), "pad": (1, 1)},
}


@pytest.mark.parametrize("stage", ["slopes", "bits", "threshold"])
@pytest.mark.parametrize("case", WIDE)
def test_wide_binary_conv2d_equals_oracle(case: str, stage: str, isa: str) -> None:
    model = layer_model("binary_conv2d", **WIDE[case], stage=stage)
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("stage", AFFINE_STAGES)
@pytest.mark.parametrize("code", ["conv2d", "binary_conv2d", "binary_memory", "elementwise"])
def test_residual_is_added_after_slope(code: str, stage: str, isa: str) -> None:
    model = layer_model(code, shape=(7, 1, 21), channels=21, stage=stage, residual=True)
    assert_equals_oracle(model, isa)


@given(data=st.data())
def test_any_convolution_equals_oracle(data: st.DataObject) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    code = data.draw(st.sampled_from(["conv2d", "binary_conv2d"]))
    stages = [*AFFINE_STAGES, "threshold"] if code == "binary_conv2d" else AFFINE_STAGES
    model = layer_model(
        code,
        shape=(*pair(1, 9), data.draw(st.integers(1, 40))),
        channels=data.draw(st.integers(1, 140)),
        kernel=pair(1, 5),
        stride=pair(1, 4),
        pad=pair(0, 6),
        dilation=pair(1, 4),
        stage=data.draw(st.sampled_from(stages)),
        seed=data.draw(st.integers(0, 2**31)),
    )
    assert_equals_oracle(model, data.draw(st.sampled_from(bifast.isas())))


# ---- whole nets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_random_net_equals_oracle_at_every_depth(seed: int, isa: str) -> None:
    assert_equals_oracle(random_net(seed), isa)


@pytest.mark.parametrize("seed", range(3))
def test_bifsmn_equals_oracle_at_every_depth(seed: int, isa: str) -> None:
    assert_equals_oracle(bifsmn(seed), isa)


@pytest.mark.parametrize("seed", range(3))
def test_waveform_to_logits_equals_oracle(seed: int, isa: str) -> None:
    model = random_net(seed, frontend=SMALL_FRONTEND)
    engine = _core.Model(model.to_bytes(), isa)
    x = np.random.default_rng(seed).normal(0, 0.2, (2, 650)).astype(np.float32)
    for depth in range(3):
        logits = engine.run(x, depth, 1)
        for clip, row in zip(x, logits, strict=True):
            features = log_mel(SMALL_FRONTEND, clip)
            assert_same_bits(engine.features(clip), features, "features")
            assert_same_bits(row, run(model, features[:, :, None], depth).logits, "logits")


def test_signs_of_zeros_and_denormals_equal_oracle(isa: str) -> None:
    model = layer_model("binary_conv2d", shape=(4, 4, 3), channels=5, stage="plain")
    values = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-38], np.float32)
    features = np.resize(values, model.buffers[0].shape)
    assert_equals_oracle(model, isa, features)


def test_floats_that_overflow_equal_oracle(isa: str) -> None:
    """Inf and NaN inside a net are defined: NaN counts as below zero."""
    model = layer_model("conv2d", shape=(3, 3, 4), channels=6, kernel=(2, 2), pad=(1, 1))
    layer = next(op for op in model.ops if op.name == "layer")
    assert layer.scale is not None
    tensors = list(model.tensors)
    tensors[layer.scale] = Tensor("f32", np.array([[3e38, -3e38, 1e-45, 0.0, 3e38, 1.0]]))
    model = replace(model, tensors=tensors)
    features = features_for(model) * np.float32(1e37)
    assert_equals_oracle(model, isa, features)


def test_k_of_65535_reaches_both_bounds_without_overflow(isa: str) -> None:
    model = with_k_65535()
    ones = np.ones(model.buffers[0].shape, np.float32)
    assert_equals_oracle(model, isa, ones)
    _, layers = _core.Model(model.to_bytes(), isa).trace(ones, 0)
    sums = next(array for name, _, array in layers if name == "layer")
    assert sums[0, 0, 0] == -65535.0
    assert sums[0, 0, 1] == 65535.0
    assert_equals_oracle(model, isa)


def test_thresholds_at_k_65535_equal_oracle(isa: str) -> None:
    model = layer_model(
        "binary_conv2d",
        shape=(3, 5, 4369),
        channels=70,
        kernel=(3, 5),
        stage="threshold",
    )
    assert_equals_oracle(model, isa)
    assert_equals_oracle(model, isa, -np.ones(model.buffers[0].shape, np.float32))


# ---- calling -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audio_model() -> ModelFile:
    return bifsmn(5)


def test_every_isa_gives_the_same_bits(audio_model: ModelFile) -> None:
    x = np.random.default_rng(0).normal(0, 0.1, (3, 16000)).astype(np.float32)
    data = audio_model.to_bytes()
    for depth in range(4):
        results = [_core.Model(data, isa).run(x, depth, 1).tobytes() for isa in bifast.isas()]
        assert len(set(results)) == 1


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
def test_threads_do_not_change_a_bit(threads: int, audio_model: ModelFile) -> None:
    x = np.random.default_rng(1).normal(0, 0.1, (7, 16000)).astype(np.float32)
    engine = _core.Model(audio_model.to_bytes(), None)
    one_by_one = np.concatenate([engine.run(clip[None], 0, 1) for clip in x])
    np.testing.assert_array_equal(engine.run(x, 0, threads), one_by_one)


def test_python_threads_may_share_a_model(audio_model: ModelFile) -> None:
    x = np.random.default_rng(2).normal(0, 0.1, (40, 16000)).astype(np.float32)
    engine = _core.Model(audio_model.to_bytes(), None)
    expected = [engine.run(x, depth, 1) for depth in range(4)]

    def work(job: int) -> bool:
        depth, clip = job % 4, job % 40
        return np.array_equal(engine.run(x[clip][None], depth, 1)[0], expected[depth][clip])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


def test_a_run_leaves_nothing_behind_for_the_next(isa: str) -> None:
    model = random_net(4)
    engine = _core.Model(model.to_bytes(), isa)
    a, b = features_for(model, 1), features_for(model, 2) * np.float32(100)
    first = engine.run_features(a[None], 0, 1)
    for depth in (2, 1):
        engine.run_features(b[None], depth, 1)
    np.testing.assert_array_equal(engine.run_features(a[None], 0, 1), first)


def test_int16_equals_float_divided_by_32768(audio_model: ModelFile, isa: str) -> None:
    x = np.random.default_rng(3).integers(-32768, 32768, (2, 16000), dtype=np.int16)
    engine = _core.Model(audio_model.to_bytes(), isa)
    floats = x.astype(np.float32) / np.float32(32768)
    np.testing.assert_array_equal(engine.run(x, 0, 1), engine.run(floats, 0, 1))


@pytest.mark.parametrize("n_samples", [1, 2, 1023, 1024, 1025, 15999])
def test_short_clip_equals_clip_padded_with_zeros(
    n_samples: int, audio_model: ModelFile, isa: str
) -> None:
    x = np.random.default_rng(4).normal(0, 0.1, (1, n_samples)).astype(np.float32)
    engine = _core.Model(audio_model.to_bytes(), isa)
    padded = np.pad(x, ((0, 0), (0, 16000 - n_samples)))
    np.testing.assert_array_equal(engine.run(x, 0, 1), engine.run(padded, 0, 1))


def test_batch_of_no_clips_gives_no_logits(audio_model: ModelFile) -> None:
    engine = _core.Model(audio_model.to_bytes(), None)
    assert engine.run(np.zeros((0, 100), np.float32), 0, 1).shape == (0, 12)


def test_clip_without_samples_is_refused(audio_model: ModelFile) -> None:
    with pytest.raises(ValueError, match="sample"):
        _core.Model(audio_model.to_bytes(), None).run(np.zeros((1, 0), np.float32), 0, 1)


def test_clip_longer_than_the_window_is_refused(audio_model: ModelFile) -> None:
    with pytest.raises(ValueError, match="16000"):
        _core.Model(audio_model.to_bytes(), None).run(np.zeros((1, 16001), np.float32), 0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 7777, 15999])
def test_samples_that_are_not_finite_are_refused(
    bad: float, at: int, audio_model: ModelFile
) -> None:
    x = np.zeros((2, 16000), np.float32)
    x[1, at] = bad
    with pytest.raises(ValueError, match=f"clip 1.*sample {at}"):
        _core.Model(audio_model.to_bytes(), None).run(x, 0, 2)


def test_unknown_depth_is_refused(audio_model: ModelFile) -> None:
    engine = _core.Model(audio_model.to_bytes(), None)
    with pytest.raises(ValueError, match="depth"):
        engine.run(np.zeros((1, 100), np.float32), 4, 1)
    with pytest.raises(ValueError, match="depth"):
        engine.run_features(np.zeros((1, 32, 32, 1), np.float32), 4, 1)


def test_features_of_another_size_are_refused(audio_model: ModelFile) -> None:
    engine = _core.Model(audio_model.to_bytes(), None)
    with pytest.raises(ValueError, match="1024"):
        engine.run_features(np.zeros((1, 32, 31, 1), np.float32), 0, 1)
    with pytest.raises(ValueError, match="expected"):
        engine.run_features(np.zeros((32, 32, 1), np.float32), 0, 1)


def test_unknown_instruction_set_is_refused(audio_model: ModelFile) -> None:
    with pytest.raises(ValueError, match="sse9"):
        _core.Model(audio_model.to_bytes(), "sse9")


def test_kernels_pass_their_self_check(isa: str) -> None:
    for index in range(len(_core.kernels())):
        _core.check_kernel(isa, index)
