"""Floats that become bytes, and convolutions of such bytes, against the oracle on every ISA."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from byte_nets import byte_net, byte_stem, quantise
from model_factory import SMALL_FRONTEND, Builder, features_for, layer_model
from test_engine import assert_equals_oracle

import bifast
from bifast import FormatError, _core
from bifast.format import ModelFile, Tensor
from bifast.format.op_checks import multiply_adds


@pytest.mark.parametrize("seed", range(6))
def test_byte_net_equals_oracle(seed: int, isa: str) -> None:
    model = byte_net(seed, SMALL_FRONTEND if seed % 2 else None)
    assert_equals_oracle(model, isa, features_for(model, seed))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (4, 1, 16), (2, 2, 33)])
@pytest.mark.parametrize("scale", [1.0, -1.7, 0.0, 3e38])
def test_floats_to_bytes_equal_oracle(shape: tuple[int, int, int], scale: float, isa: str) -> None:
    b = Builder(0, shape)
    first = quantise(b, "bytes", 0, scale, 100.5)
    floats = b.buffer("f32", shape)
    b.add(
        "plain",
        "byte_conv2d",
        first,
        out_f32=floats,
        kernel=(1, 1),
        stride=(1, 1),
        dilation=(1, 1),
        weights=b.tensor("i8", np.eye(shape[2])),
    )
    model = b.model(floats, 3)
    x = np.random.default_rng(0).normal(0, 100, shape).astype(np.float32)
    x.flat[:1] = 3e38  # its product overflows
    assert_equals_oracle(model, isa, x)


def test_bytes_are_cut_at_both_ends_and_rounded_by_half_a_step(isa: str) -> None:
    b = Builder(0, (1, 8, 1))
    first = quantise(b, "bytes", 0, 2.0, 10.5)
    b.add("stem", "byte_conv2d", first, out_f32=b.buffer("f32", (1, 8, 1)), kernel=(1, 1),
          stride=(1, 1), dilation=(1, 1), weights=b.tensor("i8", [[1]]))  # fmt: skip
    engine = _core.Model(b.model(2, 2).to_bytes(), isa)
    x = np.array([-5, -5.3, -1e9, 0, 0.24, 0.25, 122.5, 1e9], np.float32).reshape(1, 8, 1)
    _, layers = engine.trace(x, 0)
    name, is_bits, array = layers[0]
    assert (name, is_bits, array.dtype) == ("bytes", False, np.uint8)
    assert array.ravel().tolist() == [0, 0, 0, 10, 10, 11, 255, 255]


@pytest.mark.parametrize("fill", [0, 1, 128, 255])
@pytest.mark.parametrize("kernel", [(5, 5), (3, 7), (9, 1)])
def test_padding_is_the_byte_fill(fill: int, kernel: tuple[int, int], isa: str) -> None:
    b = Builder(3, (6, 7, 2))
    first = quantise(b, "bytes", 0, 40.0, 128.5)
    bits = byte_stem(b, first, 21, kernel, (2, 1), fill)
    floats = b.buffer("f32", b.buffers[bits].shape)
    b.ops[-1] = replace(b.ops[-1], out_f32=floats)
    assert_equals_oracle(b.model(floats, 4), isa)


@pytest.mark.parametrize("kernel", [(5, 5), (1, 1), (6, 3), (8, 9)])
def test_signs_of_sums_equal_oracle(kernel: tuple[int, int], isa: str) -> None:
    """No slope is negative, so each sign becomes a bound on the integer sum."""
    b = Builder(7, (9, 8, 1))
    bits = byte_stem(b, quantise(b, "bytes", 0, 40.0, 128.5), 35, kernel, (1, 1), 9)
    slope, bounds = np.abs(b.rng.normal(size=(1, 35))), b.rng.normal(size=(1, 35))
    b.ops[-1] = replace(b.ops[-1], slope=b.tensor("f32", slope), threshold=b.tensor("f32", bounds))
    floats = b.buffer("f32", b.buffers[bits].shape)
    b.add("more", "binary_conv2d", bits, out_f32=floats, kernel=(1, 1), stride=(1, 1),
          dilation=(1, 1), weights=b.bits(35, 35))  # fmt: skip
    assert_equals_oracle(b.model(floats, 4), isa)


@pytest.mark.parametrize("seed", range(3))
def test_stream_of_a_byte_net_shares_rows_and_gives_the_same_bits(seed: int, isa: str) -> None:
    model = bifast.Model.load(byte_net(seed, SMALL_FRONTEND).to_bytes(), isa=isa)
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.1, 8 * model.window).astype(np.float32)
    features = model.features(sound)
    for hop in (1, 2, 3):
        for depth in model.depths:
            with model.stream(hop=hop * SMALL_FRONTEND.hop / 8000, depth=depth) as stream:
                scan = stream.push(sound)
            assert len(scan.logits) > 20
            windows = [features[s // 60 : s // 60 + SMALL_FRONTEND.n_frames] for s in scan.starts]
            expected = model.run_features(np.stack(windows), depth=depth)
            assert scan.logits.tobytes() == expected.tobytes()


def test_work_of_floats_to_bytes_counts_values() -> None:
    model = byte_net(1)
    assert multiply_adds(model.ops[0], model) == np.prod(model.buffers[0].shape)


def _with(model: ModelFile, name: str, **fields: Any) -> ModelFile:
    ops = [replace(op, **fields) if op.name == name else op for op in model.ops]
    return replace(model, ops=ops)


def _wrong() -> dict[str, ModelFile]:
    model = byte_net(2)
    two = replace(model, tensors=(*model.tensors, Tensor("f32", np.ones((1, 2)))))
    floats = layer_model("elementwise", shape=(2, 2, 2), channels=2)
    binary = layer_model("binary_conv2d", shape=(3, 3, 4), channels=5, pad=(1, 1), kernel=(3, 3))
    shape = model.buffers[model.ops[0].out_f32 or 0].shape
    stream = next(op.out_f32 for op in model.ops if op.name == "dense")
    return {
        "two scales": _with(two, "bytes", scale=len(model.tensors)),
        "no scale": _with(model, "bytes", scale=None),
        "no shift": _with(model, "bytes", shift=None),
        "slope": _with(model, "bytes", slope=model.ops[0].scale),
        "kernel": _with(model, "bytes", kernel=(1, 1)),
        "weights": _with(model, "bytes", weights=model.ops[0].scale),
        "residual": _with(model, "last bytes", residual=stream),
        "bytes to floats": _with(model, "bytes", out_f32=stream),
        "floats to bytes by another": _with(floats, "layer", fill=1),
        "fill of bits": _with(binary, "layer", fill=1),
        "fill of floats to bytes": _with(model, "bytes", fill=3),
        "fill too large": _with(model, "stem", fill=256),
        "other shape": replace(
            model, buffers=(*model.buffers[:1], replace(model.buffers[1], height=shape[0] + 1),
                            *model.buffers[2:])
        ),
        "bytes as logits": replace(
            model, buffers=(*model.buffers[:-1], replace(model.buffers[-1], type="u8"))
        ),
    }  # fmt: skip


@pytest.mark.parametrize("case", list(_wrong()))
def test_wrong_bytes_are_refused_by_both_readers(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _wrong()[case]
    with pytest.raises(FormatError):
        model.to_bytes()
    monkeypatch.setattr("bifast.format.writer.check", lambda _: None)
    with pytest.raises(FormatError):
        _core.Model(model.to_bytes(), None)
