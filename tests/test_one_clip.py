"""The short way from one clip to its logits: the bits of the long way, and only for what needs no conversion."""

from __future__ import annotations

from typing import Any

import model_factory
import numpy as np
import pytest
from image_nets import image_net

import bifast
from bifast import _core

WAVE = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
IMAGE = np.random.default_rng(0).integers(0, 256, (14, 12, 3), dtype=np.uint8)
SOUND = model_factory.bifsmn(3).to_bytes()
FLOATS = image_net(3).to_bytes()
BYTES = image_net(1, first="byte_conv2d").to_bytes()


class Subclass(np.ndarray[Any, Any]):
    """An array of a type of its own."""


@pytest.mark.parametrize(
    ("data", "x"),
    [
        (SOUND, WAVE),
        (SOUND, WAVE[:700]),
        (SOUND, (WAVE * 32767).astype(np.int16)),
        (FLOATS, IMAGE.astype(np.float32)),
        (BYTES, IMAGE),
    ],
    ids=["float32", "short", "int16", "image", "bytes"],
)
def test_one_clip_has_the_bits_of_a_batch(data: bytes, x: Any) -> None:
    model, core = bifast.Model(data), _core.Model(data)
    for depth in model.depths:
        logits = core.run_one(x, depth, 1)
        assert logits is not None
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits, model.run(x[np.newaxis], depth=depth)[0])
        np.testing.assert_array_equal(logits, model.run(x, depth=depth))


@pytest.mark.parametrize("data", [SOUND, FLOATS, BYTES], ids=["sound", "image", "bytes"])
def test_features_of_one_clip_have_the_bits_of_a_batch(data: bytes) -> None:
    model, core = bifast.Model(data), _core.Model(data)
    f = np.random.default_rng(1).integers(0, 256, model.input_shape).astype(np.float32)
    wanted = model.run_features(f[np.newaxis])[0]
    forms = [f, f[..., 0]] if f.shape[2] == 1 else [f]
    for form in forms:
        given = np.ascontiguousarray(form)
        np.testing.assert_array_equal(core.run_features_one(given, "full", 1), wanted)
        np.testing.assert_array_equal(model.run_features(given), wanted)


@pytest.mark.parametrize(
    ("x", "depth", "threads"),
    [
        (WAVE, "ful", 1),
        (WAVE, b"full", 1),
        (WAVE, "full", 2),
        (WAVE, "full", 0),
        (WAVE, "full", 1 << 80),
        (WAVE, "full", 1.0),
        (WAVE.astype(np.float64), "full", 1),
        (WAVE.astype(">f4"), "full", 1),
        (WAVE[np.newaxis], "full", 1),
        (WAVE[::2], "full", 1),
        (WAVE.view(Subclass), "full", 1),
        (np.ma.masked_array(WAVE), "full", 1),
        (WAVE[:0], "full", 1),
        (np.zeros(16001, np.float32), "full", 1),
        (np.float32(0.5), "full", 1),
        (WAVE.tolist(), "full", 1),
        (None, "full", 1),
    ],
)
def test_what_is_unusual_goes_the_long_way(x: Any, depth: Any, threads: Any) -> None:
    core = _core.Model(SOUND)
    assert core.run_one(x, depth, threads) is None
    f = np.zeros((32, 32), np.float32) if x is WAVE else x
    assert core.run_features_one(f, depth, threads) is None


@pytest.mark.parametrize("shape", [(32,), (32, 31), (32, 32, 2), (1, 32, 32), (1, 32, 32, 1)])
def test_features_of_another_shape_go_the_long_way(shape: tuple[int, ...]) -> None:
    core = _core.Model(SOUND)
    assert core.run_features_one(np.zeros(shape, np.float32), "full", 1) is None
    columns = np.zeros((32, 32), np.float32, order="F")
    assert core.run_features_one(columns, "full", 1) is None


def test_bad_values_are_errors_on_both_ways() -> None:
    model = bifast.Model(SOUND)
    wave, features = WAVE.copy(), np.zeros((32, 32), np.float32)
    wave[7] = features[0, 3] = np.nan
    for clips in (wave, wave[np.newaxis]):
        with pytest.raises(ValueError, match="sample 7 is nan: audio must be finite"):
            model.run(clips)
    for batch in (features, features[np.newaxis]):
        with pytest.raises(ValueError, match="feature 3 is not finite"):
            model.run_features(batch)
