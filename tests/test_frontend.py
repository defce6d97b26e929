"""The front-end: bit for bit the oracle's, and within 1e-3 dB of a textbook and of librosa."""

from __future__ import annotations

from dataclasses import asdict, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from model_factory import SMALL_FRONTEND, layer_model
from reference_frontend import (
    band_powers,
    decibels,
    fma,
    frame_samples,
    log_mel,
    spectrum,
    textbook_log_mel,
)

from bifast import _core
from bifast.format import FRONTEND_PAPER, FrontendParams

Array = npt.NDArray[Any]
TOLERANCE_DB = 1e-3

SETTINGS = {
    "paper": FRONTEND_PAPER,
    "causal-25ms": FrontendParams(16000, 16000, 512, 400, 160, 40, False, 20.0, 7600.0, 1.0, 1e-10),
    "512-hop-253": FrontendParams(n_fft=512, win_length=512, hop=253, power_divisor=192.0),
    "1024-hop-256": FrontendParams(n_fft=1024, win_length=1024, hop=256, n_mels=40),
    "1024-480-hop-160": FrontendParams(n_fft=1024, win_length=480, hop=160, n_mels=40),
    "small": SMALL_FRONTEND,
    "fft-16": FrontendParams(8000, 300, 16, 15, 29, 4, True, 0.0, 4000.0, 3.0, 1e-8),
    "fft-32": FrontendParams(8000, 300, 32, 5, 31, 5, True, 0.0, 4000.0, 3.0, 1e-8),
    "fft-4096": FrontendParams(44100, 44100, 4096, 4001, 700, 256, True, 0.0, 22050.0, 9.0, 1e-8),
    "one-band": replace(FRONTEND_PAPER, n_fft=512, win_length=512, n_mels=1),
    # More bands than bins at the low end: some bands are empty and sit at the floor.
    "empty-bands": replace(FRONTEND_PAPER, n_fft=256, win_length=256, n_mels=128),
}


def signals() -> dict[str, Array]:
    rng = np.random.default_rng(7)
    n = np.arange(16000)
    chirp = 0.9 * np.sin(2 * np.pi * (100 + 0.2 * n) * n / 16000)
    return {
        "noise": rng.normal(0, 0.1, 16000).astype(np.float32),
        "quiet-noise": rng.normal(0, 1e-5, 12345).astype(np.float32),
        "long-noise": rng.normal(0, 0.3, 50001).astype(np.float32),
        "silence": np.zeros(16000, np.float32),
        "chirp-in-noise": (chirp + rng.normal(0, 1e-2, 16000)).astype(np.float32),
        "one-sample": np.ones(1, np.float32),
        "hum": (0.9 * np.sin(2 * np.pi * 100 * n / 16000) + rng.normal(0, 1e-6, 16000)).astype(
            np.float32
        ),
        "click": np.eye(1, 9000, 4000, dtype=np.float32)[0],
        "int16-noise": rng.integers(-32768, 32768, 16000, dtype=np.int16),
    }


SIGNALS = signals()


def frontend(params: FrontendParams, isa: str | None = None) -> _core.Frontend:
    return _core.Frontend(**asdict(params), isa=isa)


@cache
def oracle(setting: str, signal: str) -> Array:
    return log_mel(SETTINGS[setting], SIGNALS[signal])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_frontend_equals_oracle_bit_for_bit(setting: str, signal: str, isa: str) -> None:
    params, x = SETTINGS[setting], SIGNALS[signal]
    engine = frontend(params, isa)
    features = engine(x)
    assert features.shape == (engine.n_frames(len(x)), params.n_mels)
    np.testing.assert_array_equal(features.view(np.uint32), oracle(setting, signal).view(np.uint32))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "signal", ["noise", "quiet-noise", "silence", "chirp-in-noise", "int16-noise"]
)
def test_frontend_equals_textbook_in_decibels(setting: str, signal: str) -> None:
    params, x = SETTINGS[setting], SIGNALS[signal]
    error = np.abs(frontend(params)(x) - textbook_log_mel(params, x)).max()
    assert error < TOLERANCE_DB


@pytest.mark.parametrize("setting", ["paper", "causal-25ms"])
def test_bands_far_below_a_hum_take_double_precision(setting: str) -> None:
    params = SETTINGS[setting]
    hum = 0.9 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
    x = (hum + 1e-6 * np.random.default_rng(3).normal(size=16000)).astype(np.float32)
    expected = textbook_log_mel(params, x)
    single = band_powers(params, spectrum(params, frame_samples(params, x), np.float32))
    assert np.abs(decibels(single).T - expected).max() > 2 * TOLERANCE_DB
    assert np.abs(frontend(params)(x) - expected).max() < TOLERANCE_DB


def librosa_log_mel(params: FrontendParams, x: Array) -> Array:
    librosa = pytest.importorskip("librosa")
    x = np.pad(x.astype(np.float64), (0, max(0, params.window_samples - len(x))))
    mels = librosa.feature.melspectrogram(
        y=x,
        sr=params.sample_rate,
        n_fft=params.n_fft,
        win_length=params.win_length,
        hop_length=params.hop,
        center=params.center,
        pad_mode="reflect",
        n_mels=params.n_mels,
        fmin=params.f_min,
        fmax=params.f_max,
        htk=True,
        norm=None,
        dtype=np.float64,
    )
    return 10.0 * np.log10(np.maximum(mels.T / params.power_divisor, params.floor))


@pytest.mark.parametrize("setting", ["paper", "causal-25ms"])
@pytest.mark.parametrize("signal", ["noise", "quiet-noise", "silence", "chirp-in-noise"])
def test_frontend_equals_librosa_on_noise_and_silence(setting: str, signal: str) -> None:
    params, x = SETTINGS[setting], SIGNALS[signal]
    assert np.abs(frontend(params)(x) - librosa_log_mel(params, x)).max() < TOLERANCE_DB


def test_frontend_equals_librosa_on_shipped_speech(shipped_sound: Array) -> None:
    x = shipped_sound.astype(np.float32) / np.float32(32768)
    features = frontend(FRONTEND_PAPER)(shipped_sound)
    assert np.abs(features - librosa_log_mel(FRONTEND_PAPER, x)).max() < TOLERANCE_DB


def test_frontend_equals_librosa_and_oracle_on_recorded_speech(real_speech: list[Array]) -> None:
    assert len(real_speech) >= 10
    for clip in real_speech:
        features = frontend(FRONTEND_PAPER)(clip)
        np.testing.assert_array_equal(features, log_mel(FRONTEND_PAPER, clip))
        x = clip.astype(np.float32) / np.float32(32768)
        assert np.abs(features - librosa_log_mel(FRONTEND_PAPER, x)).max() < TOLERANCE_DB


def test_papers_setting_gives_32_frames_of_32_bands_and_minus_100_db_for_silence() -> None:
    features = frontend(FRONTEND_PAPER)(np.zeros(16000, np.float32))
    assert features.shape == (32, 32)
    np.testing.assert_allclose(features, -100.0, atol=1e-4)


def test_int16_equals_float_divided_by_32768(isa: str) -> None:
    x = SIGNALS["int16-noise"]
    engine = frontend(FRONTEND_PAPER, isa)
    np.testing.assert_array_equal(engine(x), engine(x.astype(np.float32) / np.float32(32768)))


@pytest.mark.parametrize("n_samples", [1, 2, 511, 512, 15999])
def test_short_clip_equals_clip_padded_with_zeros(n_samples: int, isa: str) -> None:
    x = SIGNALS["noise"][:n_samples]
    engine = frontend(FRONTEND_PAPER, isa)
    padded = np.concatenate([x, np.zeros(16000 - n_samples, np.float32)])
    np.testing.assert_array_equal(engine(x), engine(padded))


def test_frames_of_long_audio_without_centre_equal_frames_of_its_parts(isa: str) -> None:
    params = SETTINGS["causal-25ms"]
    x = SIGNALS["long-noise"]
    engine = frontend(params, isa)
    start = 37 * params.hop
    part = engine(x[start : start + params.window_samples])
    np.testing.assert_array_equal(engine(x)[37 : 37 + len(part)], part)


def nearest_float32(x: Fraction) -> np.float32:
    """x rounded to float32, ties to even, by exact comparisons."""
    near = np.float32(float(x))
    around = [np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf)]
    return min(
        [near, *around], key=lambda y: (abs(Fraction(float(y)) - x), int(y.view(np.int32)) % 2)
    )


def test_fma_of_the_oracle_rounds_once() -> None:
    rng = np.random.default_rng(11)
    n = 600
    # Few bits and near exponents: sums that are ties, or nearly, in float32 and in float64.
    a, b, c = (1 + (1 << rng.integers(0, 23, n)) * 2.0**-23 + rng.integers(0, 4, n) * 2.0**-23
               for _ in range(3))  # fmt: skip
    c = c * rng.choice([-1, 1], n) * 2.0 ** rng.integers(-60, 20, n)
    tiny = 2.0 ** -rng.integers(66, 78, n)  # subnormal results
    scale = np.where(np.arange(n) % 3 == 0, tiny, 1.0)
    a, b, c = (x.astype(np.float32) for x in (a * scale, b * scale, c * scale * scale))
    expected = [
        nearest_float32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    np.testing.assert_array_equal(fma(a, b, c), expected)
    assert (a * b + c != fma(a, b, c)).any()


BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("sample_rate", 0),
    ("window_samples", 0),
    ("window_samples", 1024),
    ("n_fft", 0),
    ("n_fft", 1000),
    ("n_fft", 8),
    ("n_fft", 8192),
    ("win_length", 0),
    ("win_length", 2049),
    ("hop", 0),
    ("n_mels", 0),
    ("n_mels", 257),
    ("f_min", -1.0),
    ("f_min", float("nan")),
    ("f_min", 8000.0),
    ("f_max", 8001.0),
    ("f_max", float("inf")),
    ("power_divisor", 0.0),
    ("power_divisor", float("nan")),
    ("floor", 0.0),
    ("floor", float("inf")),
]


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_frontend_refuses_parameters_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="front-end"):
        frontend(replace(FRONTEND_PAPER, **{name: value}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 9.0])
def test_frontend_refuses_samples_that_are_no_audio(bad: float) -> None:
    x = np.zeros(100, np.float32)
    x[57] = bad
    with pytest.raises(ValueError, match="sample 57"):
        frontend(FRONTEND_PAPER)(x)


def test_frontend_refuses_empty_and_misshapen_audio() -> None:
    engine = frontend(FRONTEND_PAPER)
    with pytest.raises(ValueError, match="sample"):
        engine(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="expected"):
        engine(np.zeros((2, 100), np.float32))
    with pytest.raises(ValueError, match="expected float32 or int16"):
        engine(np.zeros(100))
    with pytest.raises(ValueError, match="contiguous"):
        engine(np.zeros(100, np.float32)[::2])


def test_features_need_a_front_end() -> None:
    model = _core.Model(layer_model("elementwise", shape=(3, 2, 1), channels=1).to_bytes())
    with pytest.raises(ValueError, match="front-end"):
        model.features(np.zeros(100, np.float32))
