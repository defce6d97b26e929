"""The data of a recipe: which task, how many variants, which synthetic voices, which augmentation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bifast.train.data.augment import Augment
from bifast.train.data.clip import RATE
from bifast.train.data.crops import Crops
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
    crops
        How images are shifted and mirrored, new in every epoch.
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
    crops: Crops = dataclasses.field(default_factory=Crops)


def data_rules(spec: DataSpec) -> list[tuple[bool, str]]:
    """Return what must hold of the values, each with what to say if it does not."""
    a, m = spec.augment, spec.masks
    chances = ("noise", "snr", "room", "gain", "speed", "pitch", "shift", "context")
    sizes = [
        ("synthetic", spec.synthetic),
        ("synthetic_commands", spec.synthetic_commands),
        ("synthetic_fill", spec.synthetic_fill),
        ("augment.context_max", a.context_max),
        ("masks.time", m.time),
        ("masks.time_max", m.time_max),
        ("masks.mel", m.mel),
        ("masks.mel_max", m.mel_max),
        ("crops.pad", spec.crops.pad),
    ]
    return [
        (spec.variants >= 1, f"data.variants: expected >= 1, got {spec.variants}"),
        *((v >= 0, f"data.{name}: expected 0 or more, got {v}") for name, v in sizes),
        *(
            (0 <= getattr(a, c) <= 1, f"data.augment.{c}: expected 0 .. 1, got {getattr(a, c)}")
            for c in chances
        ),
        (0 <= a.noise_max <= 1, f"data.augment.noise_max: expected 0 .. 1, got {a.noise_max}"),
        (0 <= a.speed_max < 1, f"data.augment.speed_max: expected 0 .. 1, got {a.speed_max}"),
        (0 <= a.pitch_max <= 12, f"data.augment.pitch_max: expected 0 .. 12, got {a.pitch_max}"),
        (
            0 <= a.shift_max <= RATE,
            f"data.augment.shift_max: expected 0 .. {RATE} samples, got {a.shift_max}",
        ),
        (a.snr_min <= a.snr_max, f"data.augment.snr_min: {a.snr_min} is above snr_max {a.snr_max}"),
        (
            a.gain_min <= a.gain_max,
            f"data.augment.gain_min: {a.gain_min} is above gain_max {a.gain_max}",
        ),
    ]
