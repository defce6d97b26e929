"""Bits in two planes and thresholds of signs: the engine against the oracle, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from model_factory import SMALL_FRONTEND, features_for, layer_model
from reference import run
from test_engine import CONVOLUTIONS, assert_equals_oracle, assert_same_bits
from two_planes import two_plane_net

from bifast import FormatError, _core
from bifast.format import Buffer, ModelFile, Op, Tensor
from bifast.format.checks import buffer_bytes
from bifast.format.layout import OP, SECTION
from bifast.format.op_checks import multiply_adds
from bifast.format.writer import with_crc

PLANES = [(2, 1), (1, 2), (2, 2)]
CASES = ["1x1", "3x3-same", "5x5-stem", "dilated", "causal", "whole-rows", "255-taps", "33-rows"]


@pytest.mark.parametrize("planes", PLANES, ids=str)
@pytest.mark.parametrize("stage", ["affine", "plain", "bits"])
@pytest.mark.parametrize("case", CASES)
def test_binary_conv2d_of_two_planes_equals_oracle(
    case: str, stage: str, planes: tuple[int, int], isa: str
) -> None:
    shape = CONVOLUTIONS[case]
    model = layer_model(
        "binary_conv2d", **shape, stage=stage, planes=planes, sign_thresholds=stage == "affine"
    )
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("planes", PLANES, ids=str)
@pytest.mark.parametrize(("channels", "repeats"), [(1, 3), (7, 9), (64, 2), (70, 1), (128, 2)])
@pytest.mark.parametrize("taps", [1, 7, 57])
def test_binary_memory_that_widens_equals_oracle(
    taps: int, channels: int, repeats: int, planes: tuple[int, int], isa: str
) -> None:
    model = layer_model(
        "binary_memory",
        shape=(20, 1, channels),
        channels=channels * repeats,
        kernel=(taps, 1),
        pad=(taps // 2, 0),
        planes=planes,
        sign_thresholds=True,
    )
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("repeats", [2, 8])
@pytest.mark.parametrize("channels", [5, 32, 128])
def test_integer_thresholds_behind_widening_filters_equal_oracle(
    channels: int, repeats: int, isa: str
) -> None:
    model = layer_model(
        "binary_memory",
        shape=(9, 1, channels),
        channels=channels * repeats,
        kernel=(7, 1),
        pad=(3, 0),
        stage="threshold",
    )
    assert_equals_oracle(model, isa)


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("channels", [1, 8, 9, 63, 65, 129, 255, 256, 257, 600])
@pytest.mark.parametrize("code", ["elementwise", "conv2d", "average_pool"])
def test_signs_with_thresholds_equal_oracle(
    code: str, channels: int, planes: int, isa: str
) -> None:
    model = layer_model(
        code,
        shape=(3, 2, channels),
        channels=min(channels, 300),
        planes=(1, planes),
        sign_thresholds=True,
    )
    assert_equals_oracle(model, isa)


def test_values_at_and_beside_a_threshold_equal_oracle(isa: str) -> None:
    """The sign is +1 at the threshold itself, in both planes."""
    theta = np.array([[0.25], [-0.125]], np.float32)
    tiny = np.float32(1e-45)
    around = [np.nextafter(np.float32(x), np.float32(d)) for x in (0.25, 0.875, -1.125)
              for d in (-9, x, 9)]  # fmt: skip
    values = np.array([*around, 0.0, -0.0, tiny, -tiny, 3e38, -3e38], np.float32)
    model = layer_model("elementwise", shape=(values.size, 1, 1), channels=1, stage="bits",
                        planes=(1, 2), sign_thresholds=True)  # fmt: skip
    (layer,) = [op for op in model.ops if op.name == "layer"]
    tensors = list(model.tensors)
    for index, array in ((layer.threshold, theta), (layer.scale, [[1.0]]), (layer.shift, [[0.0]])):
        assert index is not None
        tensors[index] = Tensor("f32", np.array(array))
    assert_equals_oracle(replace(model, tensors=tensors), isa, values.reshape(-1, 1, 1))


def test_planes_of_floats_that_overflow_equal_oracle(isa: str) -> None:
    """Inf and NaN inside a net are defined: NaN is below every threshold."""
    model = layer_model("conv2d", shape=(3, 3, 4), channels=6, kernel=(2, 2), pad=(1, 1),
                        planes=(1, 2), sign_thresholds=True)  # fmt: skip
    (layer,) = [op for op in model.ops if op.name == "layer"]
    tensors = list(model.tensors)
    assert layer.scale is not None
    tensors[layer.scale] = Tensor("f32", np.array([[3e38, -3e38, 1e-45, 0.0, 3e38, 1.0]]))
    model = replace(model, tensors=tensors)
    assert_equals_oracle(model, isa, features_for(model) * np.float32(1e37))


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1.0, 3e38])
def test_any_plane_scale_equals_oracle(scale: float, isa: str) -> None:
    model = layer_model("binary_conv2d", shape=(4, 1, 70), channels=65, stage="plain",
                        planes=(2, 2))  # fmt: skip
    ops = [replace(op, plane_scale=scale) if op.plane_scale else op for op in model.ops]
    assert_equals_oracle(replace(model, ops=ops), isa)


@pytest.mark.parametrize("seed", range(12))
def test_two_plane_net_equals_oracle_at_every_depth(seed: int, isa: str) -> None:
    assert_equals_oracle(two_plane_net(seed), isa)


def test_two_plane_net_from_waveform_is_the_same_on_every_isa(isa: str) -> None:
    model = two_plane_net(1, frontend=SMALL_FRONTEND)
    x = np.random.default_rng(0).normal(0, 0.2, (2, 650)).astype(np.float32)
    scalar = _core.Model(model.to_bytes(), "scalar").run(x, 1, 1)
    assert_same_bits(_core.Model(model.to_bytes(), isa).run(x, 1, 1), scalar, "logits")


def test_second_plane_is_worth_its_scale() -> None:
    """One product by hand: signs of x, then of what is left of it."""
    model = layer_model("binary_conv2d", shape=(1, 1, 4), channels=2, stage="plain",
                        planes=(2, 1))  # fmt: skip
    (layer,) = [op for op in model.ops if op.name == "layer"]
    x = np.array([0.3, 1.5, -0.2, -2.0], np.float32)
    first = np.array([1, 1, -1, -1])
    second = np.array([-1, 1, 1, -1])
    w = 2.0 * model.tensors[layer.weights or 0].array - 1
    expected = w @ first + np.float32(layer.plane_scale) * (w @ second).astype(np.float32)
    trace = run(model, x.reshape(1, 1, 4), 0)
    sums = next(out.array for out in trace.layers if out.name == "layer")
    np.testing.assert_array_equal(sums[0, 0], expected.astype(np.float32))


# ---- what is refused -----------------------------------------------------------------------------------


def changed(model: ModelFile, **fields: Any) -> ModelFile:
    ops = [replace(op, **fields) if op.name == "layer" else op for op in model.ops]
    return replace(model, ops=ops)


def binary(planes: tuple[int, int], stage: str = "affine") -> ModelFile:
    return layer_model("binary_conv2d", shape=(2, 1, 9), channels=5, stage=stage, planes=planes)


def with_tensor(model: ModelFile, dtype: str, shape: tuple[int, int]) -> ModelFile:
    """Return the model with one more tensor of zeros, as the layer's threshold."""
    tensors = [*model.tensors, Tensor(dtype, np.zeros(shape))]
    return changed(replace(model, tensors=tensors), threshold=len(tensors) - 1)


REFUSED = {
    "second plane without a scale": changed(binary((2, 1)), plane_scale=0.0),
    "scale below zero": changed(binary((2, 1)), plane_scale=-0.5),
    "scale not a number": changed(binary((2, 1)), plane_scale=float("nan")),
    "infinite scale": changed(binary((2, 1)), plane_scale=float("inf")),
    "scale without a second plane": changed(binary((1, 1)), plane_scale=0.5),
    "scale of a layer on floats": changed(
        layer_model("elementwise", shape=(2, 1, 3), channels=3), plane_scale=0.5
    ),
    "minus zero": changed(binary((1, 1)), plane_scale=-0.0),
    "one row of thresholds for two planes": with_tensor(binary((1, 2)), "f32", (1, 5)),
    "two rows of thresholds for one plane": with_tensor(binary((1, 1)), "f32", (2, 5)),
    "thresholds of another width": with_tensor(binary((1, 1)), "f16", (1, 6)),
    "integer thresholds without flips": with_tensor(binary((1, 1)), "i16", (1, 5)),
    "float thresholds with flips": with_tensor(binary((1, 1), "threshold"), "f32", (1, 5)),
    "thresholds without bits": changed(with_tensor(binary((1, 1)), "f32", (1, 5)), out_bits=None),
    "memory that narrows": layer_model(
        "binary_memory", shape=(4, 1, 6), channels=3, kernel=(3, 1), pad=(1, 0)
    ),
    "memory that is no multiple": layer_model(
        "binary_memory", shape=(4, 1, 6), channels=9, kernel=(3, 1), pad=(1, 0)
    ),
}


def widened(model: ModelFile, role: str) -> ModelFile:
    """Return the model with a buffer of the layer in two planes, and the scale that goes with it."""
    (layer,) = [op for op in model.ops if op.name == "layer"]
    index, buffers = getattr(layer, role), list(model.buffers)
    buffers[index] = replace(buffers[index], type="bits2")
    scale = 0.5 if role == "input" else 0.0
    return changed(replace(model, buffers=buffers), plane_scale=scale)


REFUSED |= {
    f"integer thresholds and two planes of {role}": widened(binary((1, 1), "threshold"), role)
    for role in ("input", "out_bits")
}


def unchecked_bytes(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Write a file without the writer's checks."""
    with monkeypatch.context() as patch:
        patch.setattr("bifast.format.writer.check", lambda contents: None)
        return model.to_bytes()


@pytest.mark.parametrize("what", REFUSED)
def test_writer_readers_and_engine_refuse(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError):
        REFUSED[what].to_bytes()
    data = unchecked_bytes(REFUSED[what], monkeypatch)
    with pytest.raises(FormatError, match="layer"):
        ModelFile.from_bytes(data)
    with pytest.raises(FormatError, match="layer"):
        _core.Model(data, None)


def test_engine_reads_a_plane_scale_to_the_last_bit() -> None:
    model = binary((2, 1))
    again = ModelFile.from_bytes(model.to_bytes())
    assert [op.plane_scale for op in again.ops] == [op.plane_scale for op in model.ops]
    assert any(op.plane_scale for op in again.ops)


def test_second_planes_count_in_the_limits() -> None:
    assert buffer_bytes(Buffer("bits2", 3, 1, 65)) == 2 * buffer_bytes(Buffer("bits", 3, 1, 65))
    one, two = binary((1, 1)), binary((2, 1))
    layer: list[Op] = [next(op for op in m.ops if op.name == "layer") for m in (one, two)]
    assert multiply_adds(layer[1], two) == 2 * multiply_adds(layer[0], one)


def test_reserved_words_of_an_operation_stay_zero() -> None:
    data = bytearray(two_plane_net(0).to_bytes())
    at = next(
        offset
        for kind, _, offset, _, _ in SECTION.iter_unpack(bytes(data[64 : 64 + 32 * 8]))
        if kind == b"OPS "
    )
    data[at + OP.size - 1] = 1
    data = bytearray(with_crc(bytes(data)))
    with pytest.raises(FormatError, match="reserved"):
        ModelFile.from_bytes(bytes(data))
    with pytest.raises(FormatError, match="reserved"):
        _core.Model(bytes(data), None)
