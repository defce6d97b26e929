"""What a task is: labels, and the examples of each split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bifast.train.data.augment import fit
from bifast.train.data.folder import Clip, DataFolder
from bifast.train.data.synth import Synthesizer
from bifast.train.registry import Registry

SPLITS = ("training", "validation", "testing", "extra")


@dataclass(frozen=True)
class Example:
    """One second of sound with its label.

    Attributes
    ----------
    label
        Index into the task's labels.
    group
        The word or kind of sound, for reports.
    clip
        Where it comes from; None for sound that is made here.
    start, within
        First sample, at 16 kHz; with `within` the loudest second of so many samples from there.
    made
        For `clip` None: `hiss:SEED:DECIBEL` or `synth:KEY`.
    repeat
        How often it is drawn in one epoch.
    """

    label: int
    group: str
    clip: Clip | None = None
    start: int = 0
    within: int = 0
    made: str = ""
    repeat: int = 1


class Task:
    """Base of the tasks; a task is stateless.

    Attributes
    ----------
    name, labels
        Its name, and the classes in the order of the outputs.
    """

    name: str
    labels: tuple[str, ...]

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split of `SPLITS`, always in the same order."""
        raise NotImplementedError

    def spoken(self) -> dict[str, int]:
        """Return words that may be synthesized for training, each with its label."""
        return {}


TASKS: Registry[Task] = Registry("task")


def cuts(clip: Clip, label: int, group: str, every: float, rate: int = 16000) -> list[Example]:
    """Cut a long clip: the loudest second out of every `every` seconds, so that pauses drop out."""
    step = int(every * rate)
    starts = range(0, max(1, clip.samples - rate), step)
    return [Example(label, group, clip, start, max(step, rate)) for start in starts]


def loudest(wave: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Return the `samples` long part of a wave with most energy, to a tenth of its length."""
    if wave.size <= samples:
        return wave
    total = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    starts = np.arange(0, wave.size - samples + 1, max(1, samples // 10))
    best = int(starts[(total[starts + samples] - total[starts]).argmax()])
    return wave[best : best + samples]


def hiss(label: int, seed: int, decibel: float) -> Example:
    """Describe a second of noise with a 1/f^a spectrum at a level in dB below full scale."""
    return Example(label, "hiss", made=f"hiss:{seed}:{decibel:.1f}")


def _make_hiss(seed: int, decibel: float, samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[1:] /= np.arange(1, spectrum.size) ** (rng.uniform(0.0, 2.0) / 2)
    spectrum[0] = 0
    wave = np.fft.irfft(spectrum, samples)
    wave *= 10 ** (decibel / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-12)
    # Sixteen bits, as any recording: below -90 dB this leaves mostly zeros.
    return (np.round(np.clip(wave, -1, 1) * 32767) / 32768).astype(np.float32)


def load_wave(
    example: Example, folder: DataFolder, synth: Synthesizer | None, samples: int
) -> NDArray[np.float32] | None:
    """Return the sound of an example: [samples] float32, None if it can not be decoded."""
    if example.clip is not None:
        wave = folder.wave(example.clip)
        if wave is None:
            return None
        if example.within:
            wave = loudest(wave[example.start : example.start + example.within], samples)
        else:
            wave = wave[example.start :]
        return fit(wave, samples)
    kind, _, rest = example.made.partition(":")
    if kind == "synth" and synth is not None:
        return fit(synth.wave(rest), samples)
    seed, _, decibel = rest.partition(":")
    return _make_hiss(int(seed), float(decibel), samples)
