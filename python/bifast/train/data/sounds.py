"""Collect what augmentation mixes in: from the data folder, or made where it has none."""

from __future__ import annotations

import numpy as np

from bifast import effects
from bifast.effects import Wave
from bifast.train.data.augment import Augment, Sounds
from bifast.train.data.clip import RATE
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import Example

_MADE = 16
_SPEECH = 256


def find_sounds(folder: DataFolder, speech: list[Example], plan: Augment, seed: int) -> Sounds:
    """Return the training noises and room responses of a folder, and some speech.

    Parameters
    ----------
    folder
        Where it has no background noise or no room responses, some are made.
    speech
        Examples whose sound may stand beside another clip.
    plan, seed
        What is needed, and what chance depends on.
    """
    rng = np.random.default_rng((seed, 1))
    noises = _decoded(folder, "noise", "training")
    if not noises:
        noises = [0.1 * effects.coloured_noise(rng, 4 * RATE) for _ in range(_MADE)]
    rooms = _decoded(folder, "rir", None)
    if not rooms and plan.room:
        rooms = [effects.made_room(rng, RATE) for _ in range(_MADE)]
    return Sounds(noises, rooms, _some_speech(folder, speech, rng) if plan.context else [])


def _decoded(folder: DataFolder, kind: str, split: str | None) -> list[Wave]:
    return [w for w in map(folder.wave, folder.clips(kind, split)) if w is not None]


def _some_speech(folder: DataFolder, speech: list[Example], rng: np.random.Generator) -> list[Wave]:
    clips = [e.clip for e in speech if e.clip is not None]
    chosen = sorted(rng.permutation(len(clips))[:_SPEECH])
    return [w for w in (folder.wave(clips[i]) for i in chosen) if w is not None]
