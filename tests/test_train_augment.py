"""Augmentation of waveforms and of features: each effect does what it says, chance is seeded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast._core import Frontend
from bifast.effects import (
    add_noise,
    add_room,
    change_pitch,
    change_speed,
    coloured_noise,
    fit,
    made_room,
    move,
    piece,
    stretch,
)
from bifast.format import FRONTEND_PAPER
from bifast.train.batches import Stock
from bifast.train.data.augment import Augment, Sounds, augment
from bifast.train.data.features import Split
from bifast.train.data.masks import Masks, hide
from bifast.train.data.spec import DataSpec
from bifast.train.data.task import loudest

NOTHING = Augment(noise=0, room=0, gain=0, speed=0, shift=0)
RNG = np.random.default_rng(0)
HUM = RNG.uniform(-1, 1, 40000).astype(np.float32)
TALK = [np.full(16000, 0.5, np.float32)]


def sine(frequency: float, samples: int = 16000) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(samples) / 16000)).astype(np.float32)


def pitch(wave: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    """Return the strongest frequency in Hz."""
    return float(np.abs(np.fft.rfft(wave * np.hanning(wave.size))).argmax() * 16000 / wave.size)


def test_augmented_wave_keeps_length_and_range() -> None:
    wave = RNG.uniform(-1, 1, 12000).astype(np.float32)
    sounds = Sounds([HUM], [np.float32([0.1, 1.0, 0.3])], [])
    always = Augment(noise=1, snr=1, room=1, gain=1, speed=1, pitch=1, shift=1)
    for seed in range(10):
        out = augment(wave, always, np.random.default_rng(seed), sounds, 16000)
        assert out.shape == (16000,)
        assert out.dtype == np.float32
        assert np.abs(out).max() <= 1
    assert np.array_equal(augment(wave, NOTHING, RNG, sounds, 16000), fit(wave, 16000))


def test_new_effects_at_zero_draw_no_chance() -> None:
    wave, sounds = sine(300), Sounds([HUM], [], TALK)
    changed = dataclasses.replace(Augment(), snr_max=3.0, pitch_max=9.0, context_max=5)
    first = augment(wave, Augment(), np.random.default_rng(3), sounds, 16000)
    assert np.array_equal(first, augment(wave, changed, np.random.default_rng(3), sounds, 16000))


def test_effects_do_what_they_say() -> None:
    ramp = np.arange(100, dtype=np.float32)
    assert np.array_equal(move(ramp, 3)[:5], [0, 0, 0, 0, 1])
    assert np.array_equal(move(ramp, -3)[-5:], [98, 99, 0, 0, 0])
    assert np.array_equal(move(ramp, 0), ramp)
    assert abs(change_speed(ramp, 2.0).size - 50) <= 1
    late = np.zeros(50, np.float32)
    late[20] = 1
    np.testing.assert_allclose(add_room(ramp, late), ramp, atol=1e-3)
    loud = np.zeros(400, np.float32)
    loud[205:215] = 1
    assert loudest(loud, 100).sum() == 10
    assert piece(ramp[:3], 7, RNG).size == 7


@pytest.mark.parametrize("decibel", [-5.0, 0.0, 20.0])
def test_noise_has_the_asked_ratio(decibel: float) -> None:
    wave, noise = sine(440), HUM[:16000]
    added = add_noise(wave, noise, decibel) - wave
    ratio = 10 * np.log10(np.mean(wave**2) / np.mean(added**2))
    assert ratio == pytest.approx(decibel, abs=0.01)
    silent = np.zeros(16000, np.float32)
    assert np.array_equal(add_noise(silent, noise, decibel), silent)
    assert np.array_equal(add_noise(wave, silent, decibel), wave)


@pytest.mark.parametrize("samples", [12000, 16000, 20000])
def test_stretch_keeps_pitch_and_level(samples: int) -> None:
    out = stretch(sine(440), samples)
    assert out.size == samples
    assert pitch(out) == pytest.approx(440, abs=3)
    inner = slice(1000, -1000)
    assert np.std(out[inner]) == pytest.approx(np.std(sine(440)), rel=0.05)


@pytest.mark.parametrize("semitones", [-3.0, 0.0, 4.0])
def test_pitch_changes_and_length_stays(semitones: float) -> None:
    out = change_pitch(sine(440), semitones)
    assert out.size == 16000
    assert pitch(out) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


def test_made_rooms_and_noise_are_usable() -> None:
    room = made_room(RNG)
    assert room.argmax() == 0
    assert 0.1 * 16000 <= room.size <= 0.6 * 16000
    assert np.std(coloured_noise(RNG, 8000)) == pytest.approx(1, abs=0.01)


def test_context_replaces_what_moved_in_and_goes_beyond_the_window() -> None:
    wave = np.full(16000, 0.25, np.float32)
    plan = dataclasses.replace(NOTHING, context=1.0, context_max=4000)
    sides = set()
    for seed in range(20):
        out = augment(wave, plan, np.random.default_rng(seed), Sounds([], [], TALK), 16000, 1024)
        assert out.shape == (16000 + 2048,)
        own = np.flatnonzero(out == 0.25)
        assert own.size >= 12000
        assert own.size == np.ptp(own) + 1  # the clip in one piece
        sides.add(own[0] > 1024)
        assert set(np.unique(out)) - {np.float32(0.25)} <= set(
            np.unique(np.append(np.linspace(0, 1, 160, dtype=np.float32) * 0.5, [0.0, 0.5]))
        )
    assert sides == {True, False}


def test_fast_speech_in_context_still_fills_the_window() -> None:
    plan = dataclasses.replace(NOTHING, context=1.0, speed=1.0, context_max=0)
    for seed in range(10):
        out = augment(sine(300), plan, np.random.default_rng(seed), Sounds([HUM], [], []), 16000, 0)
        assert out.size == 16000


def test_frames_in_context_equal_those_of_running_sound() -> None:
    fields = {f.name: getattr(FRONTEND_PAPER, f.name) for f in dataclasses.fields(FRONTEND_PAPER)}
    frontend = Frontend(**fields)
    running = RNG.uniform(-0.5, 0.5, 40 * 512 + 16000).astype(np.float32)
    whole = frontend(running)
    margin = FRONTEND_PAPER.n_fft // 2
    start = 20 * 512
    cut = running[start - margin : start + 16000 + margin]
    inside = frontend(cut)[margin // 512 :][: FRONTEND_PAPER.n_frames]
    assert np.array_equal(inside, whole[20 : 20 + FRONTEND_PAPER.n_frames])


def test_masks_hide_stripes() -> None:
    given = torch.from_numpy(RNG.normal(size=(50, 32, 32)).astype(np.float32))
    out = hide(given, Masks(time=1, time_max=5, mel=1, mel_max=3), np.random.default_rng(1)).numpy()
    features = given.numpy()
    changed = out != features
    assert changed.any()
    frames, mels = changed.all(axis=2).sum(axis=1), changed.all(axis=1).sum(axis=1)
    assert frames.max() == 5
    assert mels.max() == 3
    means = np.broadcast_to(features.mean(axis=(1, 2), keepdims=True), features.shape)
    assert np.allclose(out[changed], means[changed], atol=1e-6)


def test_masks_are_functions_of_seed_epoch_and_step() -> None:
    values = RNG.normal(size=(12, 1, 8, 8)).astype(np.float16)
    ones = np.ones(12, np.int64)
    split = Split(values, ones, ones, [""] * 12, [])
    spec = DataSpec(masks=Masks(time=1, time_max=4))

    def draw(epoch: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        return [b.features.numpy() for b in Stock.of(split).batches(4, 0, epoch, spec)]

    assert all(map(np.array_equal, draw(1), draw(1)))
    assert not all(map(np.array_equal, draw(1), draw(2)))
