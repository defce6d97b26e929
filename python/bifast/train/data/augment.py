"""Waveform augmentation: which effect how often; noise, room, gain, speed, pitch, shift, context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bifast import effects
from bifast.effects import Wave, fit, piece

# Neighbours fade over 10 ms where they meet the clip: a step would be a click.
_FADE = 160


@dataclass(frozen=True)
class Augment:
    """Probabilities and ranges; the defaults are those of BiFSMN's training.

    Attributes
    ----------
    noise, noise_max
        Probability; x becomes x * (1 - s) + n * s with s uniform in [0, noise_max].
    snr, snr_min, snr_max
        Probability of noise at a signal-to-noise ratio, uniform in [snr_min, snr_max] dB.
    room
        Probability of a room response.
    gain, gain_min, gain_max
        Probability and uniform range of the factor.
    speed, speed_max
        Probability; length divided by 1 + u with u uniform in +-speed_max, pitch changes too.
    pitch, pitch_max
        Probability; pitch changed by up to +-pitch_max semitones at the same length.
    shift, shift_max
        Probability and largest shift in samples, zeros move in.
    context, context_max
        Probability that the clip stands in running sound instead of alone, as it does in a stream:
        moved by up to +-context_max samples, what moves in is other speech (every second time) or
        background noise, and the frames at the edges of the window see beyond them.
    """

    noise: float = 0.3
    noise_max: float = 0.3
    snr: float = 0.0
    snr_min: float = 0.0
    snr_max: float = 20.0
    room: float = 0.0
    gain: float = 0.5
    gain_min: float = 0.7
    gain_max: float = 1.1
    speed: float = 0.5
    speed_max: float = 0.2
    pitch: float = 0.0
    pitch_max: float = 2.0
    shift: float = 0.5
    shift_max: int = 3200
    context: float = 0.0
    context_max: int = 3200


@dataclass(frozen=True)
class Sounds:
    """What augmentation mixes in: background noises, room responses, and speech to stand beside."""

    noises: list[Wave]
    rooms: list[Wave]
    speech: list[Wave]


def augment(
    wave: Wave,
    plan: Augment,
    rng: np.random.Generator,
    sounds: Sounds,
    samples: int,
    margin: int = 0,
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
    sounds
        What is mixed in; an empty list leaves out what it would be for.
    samples
        Length of the window.
    margin
        Samples that a clip in context has more on each side.

    Returns
    -------
    ndarray
        Clipped to [-1, 1]: [samples] alone, [margin + samples + margin] in context.

    Notes
    -----
    Alone: length, room, noise, gain, speed, pitch, shift, length; the length is fixed first so that
    the noise covers the silence that fills a short clip. In context: room, speed, pitch, neighbours,
    noise, gain. An effect at probability 0 draws no random number.
    """
    wave = fit(wave, samples)
    in_context = plan.context > 0 and rng.random() < plan.context
    if sounds.rooms and rng.random() < plan.room:
        wave = effects.add_room(wave, sounds.rooms[rng.integers(len(sounds.rooms))])
    if in_context:
        wave = _surround(_voice(wave, plan, rng), plan, rng, sounds, samples, margin)
        wave = _gain(_noise(wave, plan, rng, sounds.noises), plan, rng)
    else:
        wave = _gain(_noise(wave, plan, rng, sounds.noises), plan, rng)
        wave = fit(_voice(wave, plan, rng), samples)
        if rng.random() < plan.shift:
            wave = effects.move(wave, int(rng.integers(-plan.shift_max, plan.shift_max + 1)))
    return np.clip(wave, -1.0, 1.0)


def _noise(wave: Wave, plan: Augment, rng: np.random.Generator, noises: list[Wave]) -> Wave:
    if noises and rng.random() < plan.noise:
        noise = noises[rng.integers(len(noises))]
        cut = piece(noise, wave.size, rng)
        level = np.float32(rng.uniform(0, plan.noise_max))
        wave = wave * (1 - level) + cut * level
    if noises and plan.snr and rng.random() < plan.snr:
        cut = piece(noises[rng.integers(len(noises))], wave.size, rng)
        wave = effects.add_noise(wave, cut, rng.uniform(plan.snr_min, plan.snr_max))
    return wave


def _gain(wave: Wave, plan: Augment, rng: np.random.Generator) -> Wave:
    if rng.random() < plan.gain:
        return wave * np.float32(rng.uniform(plan.gain_min, plan.gain_max))
    return wave


def _voice(wave: Wave, plan: Augment, rng: np.random.Generator) -> Wave:
    """Change speed and pitch; the length may change."""
    if rng.random() < plan.speed:
        wave = effects.change_speed(wave, 1 + rng.uniform(-plan.speed_max, plan.speed_max))
    if plan.pitch and rng.random() < plan.pitch:
        wave = effects.change_pitch(wave, rng.uniform(-plan.pitch_max, plan.pitch_max))
    return wave


def _surround(
    wave: Wave, plan: Augment, rng: np.random.Generator, sounds: Sounds, samples: int, margin: int
) -> Wave:
    """Put a clip at a random place between two neighbours: [margin + samples + margin]."""
    by = int(rng.integers(-plan.context_max, plan.context_max + 1))
    reach = margin + plan.context_max
    missing = max(0, samples - wave.size)  # a clip that was played faster
    before = _neighbour(plan, rng, sounds, reach + missing // 2)
    after = _neighbour(plan, rng, sounds, reach + missing - missing // 2)
    ramp = np.linspace(0, 1, min(_FADE, reach), dtype=np.float32)
    before[before.size - ramp.size :] *= ramp[::-1]
    after[: ramp.size] *= ramp
    start = plan.context_max - by
    return np.concatenate([before, wave, after])[start : start + samples + 2 * margin]


def _neighbour(plan: Augment, rng: np.random.Generator, sounds: Sounds, samples: int) -> Wave:
    if sounds.speech and rng.random() < 0.5:
        return piece(sounds.speech[rng.integers(len(sounds.speech))], samples, rng).copy()
    if sounds.noises:
        level = np.float32(rng.uniform(0, plan.noise_max))
        return piece(sounds.noises[rng.integers(len(sounds.noises))], samples, rng) * level
    return np.zeros(samples, np.float32)
