"""Model: what it takes, refuses and promises."""

from __future__ import annotations

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import model_factory
import numpy as np
import pytest

import bifast
from bifast.format import FRONTEND_PAPER

WINDOW = FRONTEND_PAPER.window_samples


@pytest.fixture(scope="module")
def data() -> bytes:
    return model_factory.bifsmn(3).to_bytes()


@pytest.fixture(scope="module")
def model(data: bytes) -> bifast.Model:
    return bifast.Model.load(data)


@pytest.fixture(scope="module")
def images() -> bifast.Model:
    """A model that takes images of three channels, not audio."""
    return bifast.Model.load(
        model_factory.layer_model("conv2d", shape=(6, 5, 3), channels=4).to_bytes()
    )


def noise(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


# ---- loading ----


def test_load_takes_path_bytes_file_and_memoryview(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.bifast"
    path.write_bytes(data)
    x = noise(WINDOW)
    expected = bifast.Model.load(data).run(x)
    for source in (path, str(path), memoryview(data), bytearray(data), io.BytesIO(data)):
        assert np.array_equal(bifast.Model.load(source).run(x), expected)


def test_load_every_shipped_model_by_name() -> None:
    assert bifast.DEFAULT_MODEL in bifast.models()
    for name in bifast.models():
        assert bifast.Model.load(name).labels


def test_load_unknown_name_lists_shipped_models() -> None:
    with pytest.raises(FileNotFoundError, match=r"unknown model 'bifsmm'.*did you mean 'bifsmn'"):
        bifast.Model.load("bifsmm")


def test_load_missing_file_is_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        bifast.Model.load(tmp_path / "gone.bifast")


def test_load_directory_is_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=tmp_path.name):
        bifast.Model.load(tmp_path)


def test_load_bad_file_names_the_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.bifast"
    path.write_bytes(data[:-1])
    with pytest.raises(bifast.FormatError, match=r"broken\.bifast"):
        bifast.Model.load(path)


def test_load_newer_version_is_unsupported(data: bytes) -> None:
    newer = data[:8] + (2).to_bytes(4, "little") + data[12:]
    with pytest.raises(bifast.UnsupportedError, match="version"):
        bifast.Model.load(newer)


@pytest.mark.parametrize("source", [3, None, ["bifsmn"]])
def test_load_refuses_other_types(source: Any) -> None:
    with pytest.raises(TypeError, match="expected a shipped name, a path, bytes"):
        bifast.Model.load(source)


def test_load_refuses_text_file_object() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        bifast.Model.load(io.StringIO("x"))  # type: ignore[arg-type]


def test_load_unknown_isa_is_valueerror(data: bytes) -> None:
    with pytest.raises(ValueError, match="mmx"):
        bifast.Model.load(data, isa="mmx")


# ---- what a model says of itself ----


def test_properties(model: bifast.Model, data: bytes) -> None:
    assert model.labels == tuple(f"label{i}" for i in range(12))
    assert model.depths == ("full", "half", "quarter", "eighth")
    assert (model.sample_rate, model.window, model.hop) == (16000, 16000, 512)
    assert model.input_shape == (32, 32, 1)
    assert model.isa == bifast.default_isa()
    assert model.scratch_bytes > 0
    assert model.to_bytes() == data
    assert "12 labels" in repr(model)


def test_card_is_a_copy(model: bifast.Model) -> None:
    model.card["name"] = "changed"
    assert model.card["name"] == "random"


@pytest.mark.parametrize("name", ["labels", "depths", "isa", "card", "anything"])
def test_model_is_immutable(model: bifast.Model, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(model, name, 1)


def test_pickle_and_copies_give_the_same_logits(model: bifast.Model) -> None:
    x = noise(WINDOW)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.run(x), model.run(x))
    assert copy.copy(model) is model
    assert copy.deepcopy([model])[0] is model


def test_pickle_keeps_a_forced_isa(data: bytes) -> None:
    scalar = bifast.Model.load(data, isa="scalar")
    assert pickle.loads(pickle.dumps(scalar)).isa == "scalar"


# ---- running ----


def test_every_isa_gives_the_same_bits(data: bytes, isa: str) -> None:
    x = noise(3, WINDOW)
    one, scalar = bifast.Model.load(data, isa=isa), bifast.Model.load(data, isa="scalar")
    for depth in one.depths:
        assert np.array_equal(one.run(x, depth=depth), scalar.run(x, depth=depth))


def test_run_batch_equals_clips_for_any_threads(model: bifast.Model) -> None:
    x = noise(5, 9000)
    expected = np.stack([model.run(clip) for clip in x])
    assert expected.dtype == np.float32
    assert expected.shape == (5, 12)
    for threads in (1, 2, 7):
        assert np.array_equal(model.run(x, threads=threads), expected)


def test_run_pads_short_clips_with_zeros(model: bifast.Model) -> None:
    for size in (1, 2, 511, WINDOW - 1):
        x = noise(size)
        assert np.array_equal(model.run(x), model.run(np.pad(x, (0, WINDOW - size))))


def test_run_takes_int16_as_its_float_value(model: bifast.Model) -> None:
    x = np.random.default_rng(1).integers(-32768, 32767, WINDOW, dtype=np.int16)
    assert np.array_equal(model.run(x), model.run(x.astype(np.float32) / 32768))


def test_run_takes_views_that_are_not_contiguous(model: bifast.Model) -> None:
    stereo = noise(WINDOW, 2)
    assert np.array_equal(model.run(stereo[:, 1]), model.run(stereo[:, 1].copy()))
    assert np.array_equal(model.run(stereo.T), model.run(stereo.T.copy()))


def test_run_leaves_its_input_alone(model: bifast.Model) -> None:
    x = noise(WINDOW)
    x.flags.writeable = False
    model.run(x)
    assert np.array_equal(x, noise(WINDOW))


def test_depths_differ_and_are_independent(model: bifast.Model) -> None:
    x = noise(WINDOW)
    first = {depth: model.run(x, depth=depth) for depth in model.depths}
    for depth in reversed(model.depths):
        assert np.array_equal(model.run(x, depth=depth), first[depth])
    assert len({logits.tobytes() for logits in first.values()}) == 4


def test_threads_share_a_model(model: bifast.Model) -> None:
    clips = noise(24, WINDOW)
    expected = [model.run(x) for x in clips]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(model.run, clips))
    assert np.array_equal(got, expected)


def test_run_is_features_then_run_features(model: bifast.Model) -> None:
    x = noise(7000)
    f = model.features(x)
    assert f.shape == (32, 32)
    assert np.array_equal(model.run_features(f), model.run(x))
    assert np.array_equal(model.run_features(f[..., np.newaxis]), model.run(x))
    assert np.array_equal(model.run_features(np.stack([f, f])), np.stack([model.run(x)] * 2))


def test_classify_gives_the_softmax(model: bifast.Model) -> None:
    x = noise(WINDOW)
    logits = model.run(x).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    result = model.classify(x)
    assert result.label == model.labels[int(logits.argmax())]
    assert list(result.probabilities) == list(model.labels)
    np.testing.assert_allclose(list(result.probabilities.values()), expected, rtol=1e-5)
    assert result.probability == result.probabilities[result.label]
    assert result.top(2)[0] == (result.label, result.probability)


def test_trace_ends_in_the_logits(model: bifast.Model) -> None:
    f = model.features(noise(WINDOW))
    logits, layers = model.trace(f, depth="half")
    assert np.array_equal(logits, model.run_features(f, depth="half"))
    assert np.array_equal(layers[-1].values.reshape(-1), logits)
    bits = [layer for layer in layers if layer.is_bits]
    assert bits
    assert all(layer.values.dtype == np.uint8 and layer.values.max() <= 1 for layer in bits)


# ---- scanning ----


def test_scan_of_one_window_equals_run(model: bifast.Model) -> None:
    for size in (1, 4000, WINDOW):
        x = noise(size)
        scan = model.scan(x)
        assert len(scan) == 1
        assert np.array_equal(scan.logits[0], model.run(x))
        assert (scan.times[0], scan.ends[0]) == (0.0, 1.0)


def test_scan_windows_share_one_framing(model: bifast.Model) -> None:
    x = noise(WINDOW * 4 + 123)
    frames = model.features(x)
    scan = model.scan(x, hop=0.1, depth="quarter")
    # 0.1 s is 3.125 frames of 512 samples; the last window ends with the last frame.
    starts = sorted({*range(0, len(frames) - 31, 3), len(frames) - 32})
    np.testing.assert_array_equal(scan.times, np.array(starts) * 512 / 16000)
    for start, logits in zip(starts, scan.logits, strict=True):
        window = frames[start : start + 32]
        assert np.array_equal(logits, model.run_features(window, depth="quarter"))


def test_scan_hop_is_at_least_one_frame(model: bifast.Model) -> None:
    scan = model.scan(noise(WINDOW * 4), hop=0.001)
    assert len(scan) == 1 + WINDOW * 4 // 512 - 32 + 1  # a hop below one frame is one frame
    assert scan.logits.shape == scan.probabilities.shape == (len(scan), 12)


@pytest.mark.parametrize("hop", [3.0, 1e17, 1e308])
def test_scan_scores_the_end_whatever_the_hop(model: bifast.Model, hop: float) -> None:
    scan = model.scan(noise(WINDOW * 3), hop=hop)
    np.testing.assert_array_equal(scan.times, [0.0, (1 + WINDOW * 3 // 512 - 32) * 512 / 16000])


def test_scan_best_and_segments() -> None:
    logits = np.log(np.array([[8, 1, 1], [6, 2, 2], [1, 8, 1], [7, 2, 1]], np.float32))
    starts = np.arange(4) * 8000
    scan = bifast.Scan(("a", "b", "c"), starts, logits, window=16000, sample_rate=16000)
    assert scan.best()["b"] == (pytest.approx(0.8), 1.0)
    assert [(s.label, s.start, s.end) for s in scan.segments()] == [
        ("a", 0.0, 1.5),
        ("b", 1.0, 2.0),
        ("a", 1.5, 2.5),
    ]
    assert scan.segments()[0].probability == pytest.approx(0.8)
    assert [result.label for result in scan.results()] == ["a", "a", "b", "a"]


def test_scan_without_windows_has_nothing_to_tell() -> None:
    empty = np.empty((0, 3), np.float32)
    scan = bifast.Scan(
        ("a", "b", "c"), np.empty(0, np.int64), empty, window=16000, sample_rate=16000
    )
    assert (len(scan), scan.results(), scan.best(), scan.segments()) == (0, [], {}, [])
    assert repr(scan) == "<bifast.Scan: no windows>"


@pytest.mark.parametrize("hop", [0, -1.0, float("nan"), float("inf")])
def test_scan_refuses_a_hop_that_is_not_positive(model: bifast.Model, hop: float) -> None:
    with pytest.raises(ValueError, match="hop: expected a positive number"):
        model.scan(noise(WINDOW), hop=hop)


# ---- bad input ----


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (noise(9).astype(np.float64), r"expected dtype float32 or int16, got float64; .*astype"),
        (np.zeros(9, np.int32), r"got int32; .*scaled to \[-1, 1\]"),
        (np.zeros(9, bool), "got bool"),
        (np.zeros(9, ">f4"), "other byte order"),
        (np.zeros(9, ">i2"), "other byte order"),
        (np.array(0, np.float32), r"expected shape \[samples\] or \[clips, samples\]"),
        (noise(2, 3, 4), r"got shape \(2, 3, 4\)"),
        (noise(0), "expected at least one"),
        (noise(0, 9), "expected at least one"),
        (noise(3, 0), "expected at least one"),
        (np.array([0, np.nan, 0], np.float32), "sample 1 is nan: audio must be finite"),
        (np.array([0, 0, -np.inf], np.float32), "sample 2 is -inf: audio must be finite"),
        (
            np.array([0, 1200, 3], np.float32),
            r"sample 1 is 1200\.0+: float audio lies in \[-1, 1\]; divide int16",
        ),
        (noise(WINDOW + 1), r"at most 16000 .*got 16001; use scan\(\)"),
        (noise(2, WINDOW + 1), r"use scan\(\)"),
    ],
)
def test_run_refuses(model: bifast.Model, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.run(x)


@pytest.mark.parametrize("x", [[0.0, 0.1], 3, None, "yes.wav"])
def test_run_refuses_what_is_no_array(model: bifast.Model, x: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a NumPy array, got .*asarray"):
        model.run(x)


def test_unknown_depth_lists_depths(model: bifast.Model) -> None:
    expected = (
        r"unknown depth 'ful': expected one of full, half, quarter, eighth; did you mean 'full'"
    )
    for call in (model.run, model.classify, model.scan):
        with pytest.raises(ValueError, match=expected):
            call(noise(WINDOW), depth="ful")


@pytest.mark.parametrize("threads", [0, -1, 10**9])
def test_run_refuses_a_wrong_number_of_threads(model: bifast.Model, threads: int) -> None:
    with pytest.raises(ValueError, match=r"threads: expected 1 \.\. 256"):
        model.run(noise(2, 9), threads=threads)


def test_clip_methods_refuse_a_batch(model: bifast.Model) -> None:
    for call in (model.classify, model.scan, model.features):
        with pytest.raises(ValueError, match=r"expected shape \[samples\], got shape \(2, 9\)"):
            call(noise(2, 9))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (np.zeros((32, 32)), "expected dtype float32, got float64"),
        (np.zeros((32, 32), np.int16), "expected dtype float32, got int16"),
        (np.zeros((31, 32), np.float32), r"expected shape \[32, 32, 1\] or \[32, 32\]"),
        (np.zeros((0, 32, 32), np.float32), "at least one clip"),
        (np.full((32, 32), np.nan, np.float32), "finite"),
    ],
)
def test_run_features_refuses(model: bifast.Model, f: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.run_features(f)


def test_trace_refuses_a_batch(model: bifast.Model) -> None:
    with pytest.raises(ValueError, match="trace takes no batch"):
        model.trace(np.zeros((1, 32, 32), np.float32))


def test_model_without_frontend_takes_features_alone(images: bifast.Model) -> None:
    assert images.run_features(noise(6, 5, 3)).shape == (5,)
    assert images.run_features(noise(4, 6, 5, 3)).shape == (4, 5)
    with pytest.raises(ValueError, match=r"no front-end and takes no sound"):
        images.run(noise(9))


@pytest.mark.parametrize("card", [b"[1]", b"{", b"[" * 50_000, b"\xff\xfe"])
def test_card_that_is_no_json_object_is_a_format_error(card: bytes) -> None:
    data = with_card(card)
    with pytest.raises(bifast.FormatError, match="META"):
        bifast.Model.load(data)


def with_card(card: bytes) -> bytes:
    """A file whose META section holds these bytes in place of a card of that size."""
    import zlib

    filler = "x" * (len(card) - len('{"k": ""}')) if len(card) > 9 else ""
    file = model_factory.layer_model("conv2d", shape=(2, 2, 1), channels=2)
    data = bytearray(replace(file, card={"k": filler} if filler else {}).to_bytes())
    entry = next(64 + 32 * i for i in range(8) if data[64 + 32 * i :][:4] == b"META")
    offset = int.from_bytes(data[entry + 8 : entry + 16], "little")
    size = int.from_bytes(data[entry + 16 : entry + 24], "little")
    data[offset : offset + size] = card[:size].ljust(size)
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "little")
    return bytes(data)
