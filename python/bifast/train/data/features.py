"""Features of all examples and their augmented variants, computed once and cached on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.format import FrontendParams
from bifast.train.data.augment import Augment, augment, fit
from bifast.train.data.folder import DataFolder
from bifast.train.data.synth import Synthesizer
from bifast.train.data.task import Example, Task, load_wave

# Part of the cache key: raise it when the meaning of an example or an augmentation changes.
CACHE_VERSION = 1
Track = Callable[[Iterable[Any], str], Iterable[Any]]


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
    seed
        Of augmentation and voices.
    augment
        What is done to the other versions.
    """

    task: str = "sc11"
    variants: int = 6
    synthetic: int = 0
    synthetic_commands: int = 0
    seed: int = 0
    augment: Augment = dataclasses.field(default_factory=Augment)


@dataclass(frozen=True)
class Split:
    """Features with labels.

    Attributes
    ----------
    features
        [N, V, T, M] decibels; float16 for training, float32 for the other splits.
    labels, repeats
        [N] int64: class, and draws per epoch.
    groups
        N words or kinds of sound.
    broken
        Names of clips left out because they could not be decoded.
    """

    features: NDArray[Any]
    labels: NDArray[np.int64]
    repeats: NDArray[np.int64]
    groups: list[str]
    broken: list[str]


def frontend_of(params: FrontendParams) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the engine's front-end: [window_samples] float32 -> [T, M] float32."""
    from bifast._core import Frontend

    return Frontend(**{f.name: getattr(params, f.name) for f in dataclasses.fields(FrontendParams)})


def task_examples(task: Task, folder: DataFolder, split: str, spec: DataSpec) -> list[Example]:
    """Return the examples of a split, with synthetic words in training if the recipe wants them."""
    examples = task.examples(folder, split)
    if split == "training" and spec.synthetic:
        for word, label in task.spoken().items():
            own_class = spec.synthetic_commands and task.labels[label] == word
            count = spec.synthetic_commands if own_class else spec.synthetic
            examples += [
                Example(label, "synthetic", made=f"synth:{word}:{count}:{index}")
                for index in range(count)
            ]
    return examples


def cache_key(examples: list[Example], split: str, spec: DataSpec, params: FrontendParams) -> str:
    """Hash everything that the features depend on."""
    plan = {
        "version": CACHE_VERSION,
        "examples": hashlib.sha256(repr(examples).encode()).hexdigest(),
        "spec": dataclasses.asdict(spec) if split == "training" else None,
        "frontend": dataclasses.asdict(params),
    }
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]


def _no_track(items: Iterable[Any], title: str) -> Iterable[Any]:
    return items


def load_split(
    folder: DataFolder,
    task: Task,
    split: str,
    spec: DataSpec,
    params: FrontendParams,
    cache: Path,
    track: Track = _no_track,
) -> Split:
    """Return the features of a split, from the cache if they are there.

    Parameters
    ----------
    folder, task, split, spec, params
        What to compute.
    cache
        Folder of the cache.
    track
        Wraps the loop over the clips, for a progress bar.

    Returns
    -------
    Split
        Variants only in training; elsewhere V = 1.

    Raises
    ------
    ValueError
        If the split has no examples.
    """
    examples = task_examples(task, folder, split, spec)
    if not examples:
        raise ValueError(f"task {task.name}: the data folder has no clips for the {split} split")
    name = f"{task.name}-{split}-{cache_key(examples, split, spec, params)}"
    data, facts = cache / f"{name}.npy", cache / f"{name}.json"
    if not (data.exists() and facts.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        _compute(examples, folder, split, spec, params, data, facts, track)
    told = json.loads(facts.read_text(encoding="utf-8"))
    kept = [examples[i] for i in told["kept"]]
    return Split(
        features=np.load(data),
        labels=np.array([e.label for e in kept], np.int64),
        repeats=np.array([e.repeat for e in kept], np.int64),
        groups=[e.group for e in kept],
        broken=told["broken"],
    )


def _compute(
    examples: list[Example],
    folder: DataFolder,
    split: str,
    spec: DataSpec,
    params: FrontendParams,
    data: Path,
    facts: Path,
    track: Track,
) -> None:
    training = split == "training"
    frontend = frontend_of(params)
    samples = params.window_samples
    synth = Synthesizer(data.parent / "synth", spec.seed) if training and spec.synthetic else None
    noises, rooms = _backgrounds(folder, samples) if training else ([], [])
    variants = spec.variants if training else 1
    shape = (len(examples), variants, params.n_frames, params.n_mels)
    out = np.empty(shape, np.float16 if training else np.float32)
    kept: list[int] = []
    for index, example in enumerate(track(examples, f"features: {split}")):
        wave = load_wave(example, folder, synth, samples)
        if wave is None:
            continue
        row = len(kept)
        kept.append(index)
        out[row, 0] = frontend(wave)
        for variant in range(1, variants):
            rng = np.random.default_rng((spec.seed, index, variant))
            changed = augment(wave, spec.augment, rng, noises, rooms, samples)
            out[row, variant] = frontend(changed)
    if not kept:
        raise ValueError(f"{split} split: none of {len(examples)} clips could be decoded")
    beside = data.with_suffix(".part.npy")
    np.save(beside, out[: len(kept)])
    beside.replace(data)
    facts_beside = facts.with_suffix(".part")
    facts_beside.write_text(json.dumps({"kept": kept, "broken": folder.broken}), encoding="utf-8")
    facts_beside.replace(facts)


def _backgrounds(
    folder: DataFolder, samples: int
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return the training noises, each at least `samples` long, and the room responses."""
    noises = [folder.wave(c) for c in folder.clips("noise", "training")]
    rooms = [folder.wave(c) for c in folder.clips("rir")]
    return (
        [n if n.size >= samples else fit(n, samples) for n in noises if n is not None],
        [r for r in rooms if r is not None],
    )
