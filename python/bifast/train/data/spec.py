"""The data of a recipe: which task, how many variants, which synthetic voices, which augmentation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bifast.train.data.augment import Augment
from bifast.train.data.masks import Masks


@dataclass(frozen=True)
class DataSpec:
    """The data of a recipe.

    Attributes
    ----------
    task
        Name in `TASKS`.
    variants
        Versions of each training clip; the first is the clip itself, the others are augmented.
    synthetic
        Spoken versions of each word of the task by synthetic voices; 0 for none.
    synthetic_commands
        The same for the words that are classes of their own, if not 0. The unknown words are ten
        times as many: with as few versions of each, a net learns that synthetic means unknown.
    synthetic_fill
        Words that are classes of their own and have fewer training recordings than this get as many
        synthetic versions as they lack.
    synthetic_only
        Words whose recordings are left out of training and validation.
    piper_voices
        Voice files (`.onnx`) of piper-tts, which then speaks two fifths of the synthetic versions.
    seed
        Of augmentation and voices.
    augment
        What is done to the other versions.
    masks
        What is hidden of the features, new in every epoch.
    """

    task: str = "sc11"
    variants: int = 6
    synthetic: int = 0
    synthetic_commands: int = 0
    synthetic_fill: int = 0
    synthetic_only: tuple[str, ...] = ()
    piper_voices: tuple[str, ...] = ()
    seed: int = 0
    augment: Augment = dataclasses.field(default_factory=Augment)
    masks: Masks = dataclasses.field(default_factory=Masks)
