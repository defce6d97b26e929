"""Waveform augmentation: noise, room, gain, speed and shift, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Augment:
    """Probabilities and ranges; the defaults are those of BiFSMN's training.

    Attributes
    ----------
    noise, noise_max
        Probability; x becomes x * (1 - s) + n * s with s uniform in [0, noise_max].
    room
        Probability of a room response.
    gain, gain_min, gain_max
        Probability and uniform range of the factor.
    speed, speed_max
        Probability; length divided by 1 + u with u uniform in +-speed_max, pitch changes too.
    shift, shift_max
        Probability and largest shift in samples, zeros move in.
    """

    noise: float = 0.3
    noise_max: float = 0.3
    room: float = 0.0
    gain: float = 0.5
    gain_min: float = 0.7
    gain_max: float = 1.1
    speed: float = 0.5
    speed_max: float = 0.2
    shift: float = 0.5
    shift_max: int = 3200


def fit(wave: Wave, samples: int) -> Wave:
    """Cut a wave, or fill it with zeros at the end, to a number of samples."""
    out = np.zeros(samples, np.float32)
    n = min(samples, wave.size)
    out[:n] = wave[:n]
    return out


def change_speed(wave: Wave, factor: float) -> Wave:
    """Play a wave `factor` times as fast (linear interpolation)."""
    where = np.arange(0, wave.size - 1, factor)
    return np.interp(where, np.arange(wave.size), wave).astype(np.float32)


def move(wave: Wave, by: int) -> Wave:
    """Shift a wave by samples, later if positive, with zeros moving in."""
    out = np.zeros_like(wave)
    if by >= 0:
        out[by:] = wave[: wave.size - by]
    else:
        out[:by] = wave[-by:]
    return out


def add_room(wave: Wave, response: Wave) -> Wave:
    """Convolve with a room response, aligned on its peak and brought back to the same energy."""
    n = wave.size + response.size - 1
    size = 1 << (n - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)
    start = int(np.abs(response).argmax())
    wet = wet[start : start + wave.size]
    energy = float(np.square(wet).sum())
    before = float(np.square(wave, dtype=np.float64).sum())
    return (wet * np.sqrt(before / energy if energy > 0 else 0.0)).astype(np.float32)


def augment(
    wave: Wave,
    plan: Augment,
    rng: np.random.Generator,
    noises: list[Wave],
    rooms: list[Wave],
    samples: int,
) -> Wave:
    """Make one changed version of a clip.

    Parameters
    ----------
    wave
        Any length, float32.
    plan
        What to do how often.
    rng
        The only source of chance.
    noises, rooms
        Background recordings, each at least `samples` long, and room responses.
    samples
        Length of the result.

    Returns
    -------
    ndarray
        [samples] float32, clipped to [-1, 1].

    Notes
    -----
    Order: length, room, noise, gain, speed, shift, length; the length is fixed first so that the
    noise covers the silence that fills a short clip.
    """
    wave = fit(wave, samples)
    if rooms and rng.random() < plan.room:
        wave = add_room(wave, rooms[rng.integers(len(rooms))])
    if noises and rng.random() < plan.noise:
        noise = noises[rng.integers(len(noises))]
        start = rng.integers(noise.size - samples + 1)
        level = np.float32(rng.uniform(0, plan.noise_max))
        wave = wave * (1 - level) + noise[start : start + samples] * level
    if rng.random() < plan.gain:
        wave = wave * np.float32(rng.uniform(plan.gain_min, plan.gain_max))
    if rng.random() < plan.speed:
        wave = fit(change_speed(wave, 1 + rng.uniform(-plan.speed_max, plan.speed_max)), samples)
    if rng.random() < plan.shift:
        wave = move(wave, int(rng.integers(-plan.shift_max, plan.shift_max + 1)))
    return np.clip(wave, -1.0, 1.0)
