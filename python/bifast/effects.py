"""What augmentation does to a waveform [S] float32, each effect on its own, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
# Frame, step and search range of `stretch` in samples: 32, 16 and 8 ms at 16 kHz.
_FRAME, _STEP, _REACH = 512, 256, 128


def fit(wave: Wave, samples: int) -> Wave:
    """Cut a wave, or fill it with zeros at the end, to a number of samples."""
    out = np.zeros(samples, np.float32)
    n = min(samples, wave.size)
    out[:n] = wave[:n]
    return out


def piece(wave: Wave, samples: int, rng: np.random.Generator) -> Wave:
    """Cut a random part of so many samples out of a wave; a shorter wave is repeated."""
    if wave.size < samples:
        wave = np.resize(wave, samples)
    start = rng.integers(wave.size - samples + 1)
    return wave[start : start + samples]


def change_speed(wave: Wave, factor: float) -> Wave:
    """Play a wave `factor` times as fast (linear interpolation)."""
    where = np.arange(0, wave.size - 1, factor)
    return np.asarray(np.interp(where, np.arange(wave.size), wave), np.float32)


def stretch(wave: Wave, samples: int) -> Wave:
    """Change the length of a wave and keep its pitch.

    Notes
    -----
    WSOLA (Verhelst and Roelands, ICASSP 1993): frames are taken from where the new time axis asks for
    them, moved by up to 8 ms to where they continue the frame before best, and overlapped.
    """
    window = np.hanning(_FRAME + 1)[:-1].astype(np.float32)  # two that overlap by half add up to 1
    count = -(-samples // _STEP) + 1
    padded = np.pad(wave, (_STEP + _REACH, _FRAME + _STEP + 2 * _REACH))
    out = np.zeros((count + 1) * _STEP, np.float32)
    place = _REACH
    for k in range(count):
        if k:
            # The frame before covers `place`; its natural continuation lies one step later.
            follows = padded[place + _STEP : place + _STEP + _FRAME]
            asked = min(k * _STEP * wave.size // samples, wave.size)
            near = padded[asked : asked + _FRAME + 2 * _REACH]
            place = asked + int(np.correlate(near, follows, "valid").argmax())
        out[k * _STEP : k * _STEP + _FRAME] += window * padded[place : place + _FRAME]
    return out[_STEP : _STEP + samples]


def change_pitch(wave: Wave, semitones: float) -> Wave:
    """Raise the pitch of a wave and keep its length: faster by the same factor, then stretched."""
    return stretch(change_speed(wave, 2 ** (semitones / 12)), wave.size)


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
    scale = np.sqrt(before / energy if energy > 0 else 0.0)
    return np.asarray(wet * scale, np.float32)


def add_noise(wave: Wave, noise: Wave, decibel: float) -> Wave:
    """Add noise of the same length so that the mean powers have a ratio of `decibel` dB.

    A wave or noise that is silent has no such ratio: the wave is returned as it is.
    """
    signal = float(np.mean(np.square(wave, dtype=np.float64)))
    power = float(np.mean(np.square(noise, dtype=np.float64)))
    if signal == 0 or power == 0:
        return wave
    return wave + noise * np.float32(np.sqrt(signal / power) * 10 ** (-decibel / 20))


def coloured_noise(rng: np.random.Generator, samples: int) -> Wave:
    """Make noise with a spectrum of 1/f^a, a uniform in 0 .. 2, at a mean power of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[1:] /= np.arange(1, spectrum.size) ** (rng.uniform(0.0, 2.0) / 2)
    spectrum[0] = 0
    wave = np.fft.irfft(spectrum, samples)
    return (wave / max(float(np.sqrt(np.mean(wave**2))), 1e-12)).astype(np.float32)


def made_room(rng: np.random.Generator, rate: int = 16000) -> Wave:
    """Make a room response: a direct sound and noise that decays by 60 dB in 0.1 .. 0.6 s."""
    decay = rng.uniform(0.1, 0.6)
    time = np.arange(int(decay * rate)) / rate
    tail = rng.standard_normal(time.size) * 10 ** (-3 * time / decay)
    tail *= 10 ** (rng.uniform(-20, -5) / 20) / np.abs(tail).max()
    tail[0] = 1.0
    return tail.astype(np.float32)
