"""Nets on images: pooling, shortcuts and bytes against the oracle, what is refused, and `Model.run`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_nets import image_net, pool
from model_factory import Builder, features_for, layer_model
from test_engine import AFFINE_STAGES, assert_equals_oracle

import bifast
from bifast.errors import FormatError
from bifast.format import ModelFile, Tensor
from bifast.format.op_checks import multiply_adds

WINDOWS: dict[str, dict[str, Any]] = {
    "2x2": {"shape": (6, 8, 5), "kernel": (2, 2), "stride": (2, 2)},
    "3x3-stem": {"shape": (9, 7, 16), "kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)},
    "overlap": {"shape": (5, 6, 33), "kernel": (3, 2), "stride": (1, 1), "pad": (2, 1)},
    "dilated": {"shape": (9, 8, 3), "kernel": (2, 3), "dilation": (3, 2), "pad": (2, 1)},
    "1x1": {"shape": (5, 4, 70), "kernel": (1, 1), "stride": (2, 3)},
    "over-input": {"shape": (2, 3, 4), "kernel": (5, 7), "pad": (2, 3)},
}


@pytest.mark.parametrize("stage", AFFINE_STAGES)
@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("code", ["average_pool", "max_pool"])
def test_pooling_equals_oracle(code: str, case: str, stage: str, isa: str) -> None:
    assert_equals_oracle(layer_model(code, **WINDOWS[case], channels=1, stage=stage), isa)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1), (9, 9)], ids=str)
@pytest.mark.parametrize("channels", [(16, 32), (3, 8), (64, 64), (1, 129)], ids=str)
def test_subsample_equals_oracle(
    channels: tuple[int, int], stride: tuple[int, int], residual: bool, isa: str
) -> None:
    shape = (7, 6, channels[0])
    model = layer_model(
        "subsample", shape=shape, channels=channels[1], stride=stride, residual=residual
    )
    assert_equals_oracle(model, isa)


@given(data=st.data())
def test_any_pooling_equals_oracle(data: st.DataObject) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    kernel = pair(1, 5)
    model = layer_model(
        data.draw(st.sampled_from(["average_pool", "max_pool"])),
        shape=(*pair(5, 9), data.draw(st.integers(1, 40))),
        channels=1,
        kernel=kernel,
        stride=pair(1, 4),
        pad=data.draw(st.tuples(*(st.integers(0, size - 1) for size in kernel))),
        stage=data.draw(st.sampled_from(AFFINE_STAGES)),
        seed=data.draw(st.integers(0, 2**31)),
    )
    assert_equals_oracle(model, data.draw(st.sampled_from(bifast.isas())))


def test_max_pool_of_zeros_equals_oracle(isa: str) -> None:
    """-0.0 and 0.0 are equal: the first one stays."""
    model = layer_model("max_pool", shape=(6, 6, 3), channels=3, kernel=(2, 2), stage="plain")
    values = np.array([0.0, -0.0, 1e-45, -1.0, -2.0], np.float32)
    x = np.random.default_rng(0).choice(values, (6, 6, 3))
    assert_equals_oracle(model, isa, x)


def test_max_pool_of_infinities_and_nan_equals_oracle(isa: str) -> None:
    """A NaN that comes first stays; a later one is left out."""
    b = Builder(0, (6, 6, 1))
    far, mixed = b.buffer("f32", (6, 6, 1)), b.buffer("f32", (6, 6, 1))
    zero = b.tensor("f32", np.zeros((1, 1)))
    b.add("far", "elementwise", 0, out_f32=far, scale=b.tensor("f32", [[3e38]]), shift=zero)
    b.add("mix", "elementwise", far, out_f32=mixed, scale=zero, shift=zero, residual=0)
    model = b.model(pool(b, "max_pool", mixed, (2, 2), (1, 1), (1, 1)), 3)
    x = np.random.default_rng(0).choice(np.array([0.5, -0.5, 2.0], np.float32), (6, 6, 1))
    assert_equals_oracle(model, isa, x)


@pytest.mark.parametrize("role", ["weights", "scale", "shift", "slope"])
def test_bytes_as_floats_equal_oracle(role: str, isa: str) -> None:
    model = layer_model("conv2d", shape=(5, 6, 3), channels=20, kernel=(3, 3), pad=(1, 1))
    layer = next(op for op in model.ops if op.name == "layer")
    index = getattr(layer, role)
    shape = model.tensors[index].array.shape
    values = np.random.default_rng(0).integers(-128, 128, shape)
    values.flat[:1] = -128
    tensors = list(model.tensors)
    tensors[index] = Tensor("i8", values)
    model = replace(model, tensors=tensors)
    assert_equals_oracle(model, isa)
    assert ModelFile.from_bytes(model.to_bytes()).tensors[index] == tensors[index]


def test_integer_thresholds_in_bytes_are_refused() -> None:
    model = layer_model("binary_conv2d", shape=(3, 3, 4), channels=5, stage="threshold")
    layer = next(op for op in model.ops if op.name == "layer")
    assert layer.threshold is not None
    tensors = list(model.tensors)
    tensors[layer.threshold] = Tensor("i8", np.zeros((1, 5)))
    with pytest.raises(FormatError, match="threshold"):
        replace(model, tensors=tensors).to_bytes()


@pytest.mark.parametrize("seed", range(6))
def test_image_net_equals_oracle(seed: int, isa: str) -> None:
    model = image_net(seed)
    assert_equals_oracle(model, isa, features_for(model, seed))


def test_pooling_of_what_exceeds_a_cache_equals_oracle(isa: str) -> None:
    """Its rows are computed in turn with those of the layer before."""
    b = Builder(0, (104, 80, 3), input_type="u8")
    image = b.buffer("f32", (104, 80, 16))
    geometry: dict[str, Any] = {"kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)}
    b.add("stem", "byte_conv2d", 0, out_f32=image, **geometry, dilation=(1, 1),
          weights=b.bytes(27, 16), **b.affine(16, 5e4))  # fmt: skip
    model = b.model(pool(b, "max_pool", image, (3, 3), (2, 2), (1, 1)), 3)
    assert_equals_oracle(model, isa, features_for(model, 0))


BYTE_LAYERS: dict[str, dict[str, Any]] = {
    "point": {"shape": (1, 1, 1), "channels": 1},
    "7x7-stem": {"shape": (20, 71, 3), "channels": 64, "kernel": (7, 7), "stride": (2, 2), "pad": (3, 3)},
    "3x3-same": {"shape": (6, 5, 3), "channels": 70, "kernel": (3, 3), "pad": (1, 1)},
    "line-of-4": {"shape": (5, 40, 4), "channels": 17, "kernel": (2, 3)},
    "over-input": {"shape": (2, 3, 5), "channels": 33, "kernel": (5, 7), "pad": (2, 3)},
    "far-padding": {"shape": (2, 2, 3), "channels": 4, "kernel": (3, 3), "stride": (3, 2), "pad": (9, 8)},
    "many": {"shape": (3, 3, 7281), "channels": 3, "kernel": (3, 3)},
}  # fmt: skip


@pytest.mark.parametrize("stage", ["affine", "slopes", "plain"])
@pytest.mark.parametrize("case", BYTE_LAYERS)
def test_byte_conv2d_equals_oracle(case: str, stage: str, isa: str) -> None:
    assert_equals_oracle(layer_model("byte_conv2d", **BYTE_LAYERS[case], stage=stage), isa)


def test_largest_sums_of_bytes_do_not_overflow(isa: str) -> None:
    model = layer_model("byte_conv2d", shape=(3, 3, 7281), channels=2, kernel=(3, 3), stage="plain")
    layer = next(op for op in model.ops if op.name == "layer")
    assert layer.weights is not None
    weights = np.tile([[-128, 127]], (9 * 7281, 1))
    tensors = list(model.tensors)
    tensors[layer.weights] = Tensor("i8", weights)
    model = replace(model, tensors=tensors)
    x = np.full(model.buffers[0].shape, 255, np.float32)
    assert_equals_oracle(model, isa, x)


@pytest.mark.parametrize("seed", range(4))
def test_image_net_of_bytes_equals_oracle(seed: int, isa: str) -> None:
    assert_equals_oracle(image_net(seed, first="byte_conv2d"), isa)


def test_multiply_adds_count_taps_of_windows_and_values_elsewhere() -> None:
    def work(model: ModelFile) -> int:
        return multiply_adds(next(op for op in model.ops if op.name == "layer"), model)

    assert work(layer_model("max_pool", shape=(6, 4, 5), channels=5, kernel=(2, 2))) == 15 * 5 * 4
    assert work(layer_model("average_pool", shape=(6, 4, 5), channels=5)) == 120
    assert work(layer_model("subsample", shape=(6, 4, 5), channels=8, stride=(2, 2))) == 6 * 8


# ---- Model ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file() -> ModelFile:
    return image_net(3)


@pytest.fixture(scope="module")
def model(file: ModelFile) -> bifast.Model:
    return bifast.Model.load(file.to_bytes())


def images(file: ModelFile, count: int) -> Any:
    return np.stack([features_for(file, seed) for seed in range(count)])


def test_run_takes_images(model: bifast.Model, file: ModelFile) -> None:
    x = images(file, 4)
    logits = model.run(x, threads=2)
    assert logits.shape == (4, 5)
    np.testing.assert_array_equal(logits[2], model.run(x[2]))
    np.testing.assert_array_equal(logits, model.run_features(x))


def test_run_takes_strided_images(model: bifast.Model, file: ModelFile) -> None:
    x = images(file, 4)
    channels_first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(model.run(channels_first.transpose(0, 2, 3, 1)), model.run(x))


def test_classify_takes_one_image(model: bifast.Model, file: ModelFile) -> None:
    x = images(file, 2)
    result = model.classify(x[0])
    assert result.label == model.labels[int(model.run(x[0]).argmax())]
    with pytest.raises(ValueError, match=r"expected one image.*\[14, 12, 3\].*use run\(\)"):
        model.classify(x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((2, 3, 14, 12), np.float32),
            r"channels first.*x\.transpose\(0, 2, 3, 1\)",
        ),
        (np.zeros((3, 14, 12), np.float32), r"channels first.*x\.transpose\(1, 2, 0\)"),
        (np.zeros((2, 14, 13, 3), np.float32), r"expected shape \[14, 12, 3\] \(height, width, ch"),
        (np.zeros((0, 14, 12, 3), np.float32), "at least one"),
        (np.zeros((14, 12, 3), np.uint8), "expected dtype float32, got uint8"),
        (np.full((14, 12, 3), np.inf, np.float32), "finite"),
        (np.zeros(16000, np.float32), "no front-end"),
    ],
)
def test_run_refuses(model: bifast.Model, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.run(x)


def test_model_of_bytes_takes_bytes_alone(isa: str) -> None:
    file = image_net(1, first="byte_conv2d")
    model = bifast.Model.load(file.to_bytes(), isa=isa)
    assert (model.input_dtype, model.input_shape) == (np.uint8, (14, 12, 3))
    x = np.random.default_rng(0).integers(0, 256, (3, 14, 12, 3), dtype=np.uint8)
    logits = model.run(x)
    np.testing.assert_array_equal(logits, model.run_features(x.astype(np.float32)))
    np.testing.assert_array_equal(logits[1], model.run(x[1]))
    assert model.classify(x[2]).label == model.labels[int(logits[2].argmax())]
    with pytest.raises(ValueError, match="expected dtype uint8, got float32"):
        model.run(x.astype(np.float32))
    for value in (0.5, -1.0, 256.0):
        with pytest.raises(ValueError, match=r"whole number 0 .. 255"):
            model.run_features(np.full((14, 12, 3), value, np.float32))


def test_sound_is_refused_without_front_end(model: bifast.Model) -> None:
    sound = np.zeros(16000, np.float32)
    calls = [
        lambda: model.classify(sound),
        lambda: model.scan(sound),
        lambda: model.stream(),
        lambda: model.listen(),
        lambda: model.features(sound),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="no front-end"):
            call()
