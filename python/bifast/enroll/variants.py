"""Versions of a recorded word: speed, room, place in the window, level, noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bifast import effects
from bifast.enroll.recording import Recording
from bifast.model import Model

Floats = NDArray[np.float32]

# Versions of the wave of each recording, and windows cut from each.
WAVES, CUTS = 8, 6
_SPEED = 0.15
_ROOM = 0.2
# Seconds by which the word's middle lies off the window's: a stream's windows fall anywhere.
_SHIFT = 0.1
# Levels of the loudest frame in dB of the front-end, and of noise below the word.
_PEAK = (-15.0, 12.0)
_NOISE = (5.0, 35.0)
_NOISY = 0.3
# No room is quieter, relative to the word's loudest frame, dB.
_HUM = (35.0, 60.0)


def make_variants(
    recording: Recording,
    model: Model,
    noises: Sequence[Floats],
    rng: np.random.Generator,
) -> Floats:
    """Make windows that hold the word.

    Parameters
    ----------
    recording, model
        The word, and whose front-end hears it.
    noises
        Features [T, M], T at least a window, of what is mixed in; an empty list leaves it out.
    rng
        The only source of chance.

    Returns
    -------
    NDArray[np.float32]
        [WAVES * CUTS, T, M], dB.

    Notes
    -----
    Speed and room are effects on the wave. Level and noise are effects on the features: powers add, as
    they do in sound, but for the phases.
    """
    found = []
    for number in range(WAVES):
        features, first, last = _changed(recording, model, rng, plain=number == 0)
        for _ in range(CUTS):
            found.append(_cut(features, first, last, model, noises, rng))
    return np.stack(found)


def plain_windows(recording: Recording, model: Model, hop: int) -> Floats:
    """Return the windows of a stream that hold the word, as it was recorded: [n, T, M], one every `hop`."""
    frames = model.input_shape[0]
    features, first, last = _framed(recording, model)
    middle = (first + last) // 2 - frames // 2
    starts = range(middle % hop, len(features) - frames + 1, hop)
    near = [s for s in starts if abs(s - middle) <= frames // 2]
    return np.stack([features[s : s + frames] for s in near])


def _framed(recording: Recording, model: Model) -> tuple[Floats, int, int]:
    """Return features with a window of room on both sides, and the word's first and last frame there."""
    pad = model.window
    features = model.features(np.pad(recording.wave, pad))
    return features, (recording.first + pad) // model.hop, (recording.last + pad) // model.hop


def _changed(
    recording: Recording, model: Model, rng: np.random.Generator, *, plain: bool
) -> tuple[Floats, int, int]:
    """Change speed and room; the first version is left as it is."""
    name, wave, first, last = recording
    if not plain:
        factor = 1 + rng.uniform(-_SPEED, _SPEED)
        wave = effects.change_speed(wave, factor)
        first, last = int(first / factor), int(last / factor)
        if rng.random() < _ROOM:
            wave = effects.add_room(wave, effects.made_room(rng, model.sample_rate))
        wave = np.clip(wave, -1, 1)
    return _framed(Recording(name, wave, first, last), model)


def _cut(
    features: Floats,
    first: int,
    last: int,
    model: Model,
    noises: Sequence[Floats],
    rng: np.random.Generator,
) -> Floats:
    """Cut one window, with the word near its middle, and change what is heard with it."""
    frames = model.input_shape[0]
    shift = round(_SHIFT * model.sample_rate / model.hop)
    start = (first + last - frames) // 2 + int(rng.integers(-shift, shift + 1))
    window = features[start : start + frames]
    peak = float(window.max())
    if noises and rng.random() < _NOISY:
        noise = _piece(noises, frames, rng)
        mean = 10 * np.log10(np.mean(10 ** (noise / 10)) + 1e-12)
        # The peak of speech lies some 10 dB above its mean.
        window = _add(window, noise + np.float32(peak - 10 - mean - rng.uniform(*_NOISE)))
    hum = np.float32(peak - rng.uniform(*_HUM)) + rng.normal(0, 4, window.shape).astype(np.float32)
    level = rng.uniform(*_PEAK) - peak
    return np.asarray(_add(window, hum) + level, np.float32)


def _piece(sounds: Sequence[Floats], frames: int, rng: np.random.Generator) -> Floats:
    sound = sounds[int(rng.integers(len(sounds)))]
    start = int(rng.integers(len(sound) - frames + 1))
    return sound[start : start + frames]


def _add(one: Floats, other: Floats) -> Floats:
    """Add powers given in dB."""
    return np.asarray(10 * np.log10(10 ** (one / 10) + 10 ** (other / 10)), np.float32)
