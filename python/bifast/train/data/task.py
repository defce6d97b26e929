"""What a task is: labels, and the examples of each split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bifast.effects import coloured_noise, fit
from bifast.train.data.clip import RATE, Clip
from bifast.train.data.folder import DataFolder
from bifast.train.data.synth import Synthesizer
from bifast.train.registry import Registry

SPLITS = ("training", "validation", "testing", "extra")
# RANDOM_SEED of TensorFlow's recipe; the draws themselves are NumPy's, not Python's.
_DRAW_SEED = 59185
T = TypeVar("T")


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
    gain
        The sound is multiplied by it.
    made
        For `clip` None: `zeros`, `hiss:SEED:DECIBEL` or `synth:KEY`.
    repeat
        How often it is drawn in one epoch.
    """

    label: int
    group: str
    clip: Clip | None = None
    start: int = 0
    within: int = 0
    gain: float = 1.0
    made: str = ""
    repeat: int = 1


class Task:
    """Base of the tasks; a task is stateless.

    Attributes
    ----------
    name, labels
        Its name, and the classes in the order of the outputs.
    takes
        `sounds` or `images`: what its examples are, and what a net for it takes.
    """

    takes = "sounds"
    name: str
    labels: tuple[str, ...]

    def for_folder(self, folder: DataFolder) -> Task:
        """Return the task with the labels that a folder asks for; most tasks have their own."""
        return self

    def for_labels(self, labels: tuple[str, ...]) -> Task:
        """Return the task with the labels of a trained net; most tasks have their own."""
        return self

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split of `SPLITS`, always in the same order."""
        raise NotImplementedError

    def spoken(self) -> dict[str, int]:
        """Return words that may be synthesized for training, each with its label."""
        return {}


class ImageTask(Task):
    """Base of the tasks whose examples are images.

    Attributes
    ----------
    side
        Height and width of the images, in pixels; they have three colours.
    origin
        Whose images they are, for a model's card.
    """

    takes = "images"
    side: int
    origin: str

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Refuse: there is no sound."""
        raise ValueError(f"task {self.name} has images, no sounds")


TASKS: Registry[Task] = Registry("task")


def cuts(clip: Clip, label: int, group: str, every: float) -> list[Example]:
    """Cut a long clip: the loudest second out of every `every` seconds, so that pauses drop out."""
    step = int(every * RATE)
    starts = range(0, max(1, clip.samples - RATE), step)
    return [Example(label, group, clip, start, max(step, RATE)) for start in starts]


def tenth(count: int) -> int:
    """Return 10 % of a number of words, rounded up: as much unknown and silence as TensorFlow's recipe."""
    return -(-count // 10)


def some(items: list[T], count: int, split: str) -> list[T]:
    """Draw at most `count` items, the same for the same split, and keep their order."""
    rng = np.random.default_rng((_DRAW_SEED, SPLITS.index(split)))
    chosen = rng.permutation(len(items))[:count]
    return [items[i] for i in sorted(chosen)]


def background(folder: DataFolder, split: str, label: int, count: int) -> list[Example]:
    """Make silence as TensorFlow's recipe does: seconds of background recordings at a random volume.

    Without background recordings, of the split or of training, it is noise of 1/f^a at a random level.
    """
    rng = np.random.default_rng((_DRAW_SEED, 10 + SPLITS.index(split)))
    noises = folder.clips("noise", split) or folder.clips("noise", "training")
    noises = [n for n in noises if "background" in n.dataset] or noises
    if not noises:
        levels = rng.uniform(-100, -30, count)
        return [hiss(label, 1_000_000 + i, level) for i, level in enumerate(levels)]
    # Those of one recording follow each other, so that it is decoded once.
    chosen = np.sort(rng.integers(0, len(noises), count))
    return [
        Example(
            label,
            "background",
            noises[i],
            start=int(rng.integers(max(1, noises[i].samples - RATE))),
            gain=round(float(rng.uniform()), 4),
        )
        for i in chosen
    ]


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
    wave = coloured_noise(np.random.default_rng(seed), samples) * np.float32(10 ** (decibel / 20))
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
        return fit(wave, samples) * np.float32(example.gain)
    if example.made == "zeros":
        return np.zeros(samples, np.float32)
    kind, _, rest = example.made.partition(":")
    if kind == "synth" and synth is not None:
        return fit(synth.wave(rest), samples)
    seed, _, decibel = rest.partition(":")
    return _make_hiss(int(seed), float(decibel), samples)
