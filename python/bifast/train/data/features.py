"""Features of all examples and their augmented variants, computed once and cached on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast.format import FrontendParams
from bifast.train.data.augment import augment
from bifast.train.data.cache import Arrays, cached
from bifast.train.data.clip import Clip
from bifast.train.data.folder import DataFolder
from bifast.train.data.masks import Masks
from bifast.train.data.sounds import find_sounds
from bifast.train.data.spec import DataSpec
from bifast.train.data.spread import spread
from bifast.train.data.synth import Synthesizer
from bifast.train.data.task import Example, Task, load_wave
from bifast.train.registry import nearest

# Part of the cache key: raise it when the meaning of an example or an augmentation changes.
CACHE_VERSION = 3
# Examples that a process computes at a time.
_PART = 64
# The same for synthetic words alone: how their sound is kept.
SYNTH_VERSION = 2
Track = Callable[[Iterable[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Split:
    """Features with labels.

    Attributes
    ----------
    features
        [N, V, T, M] decibels; float16 for training, float32 for the other splits. Or images,
        [N, 1, H, W, C] uint8.
    labels, repeats
        [N] int64: class, and draws per epoch.
    groups
        N words or kinds of sound.
    broken
        Clips left out because they could not be decoded, each with its reason.
    names
        N names of files, or of what sounds were made from.
    """

    features: NDArray[Any]
    labels: NDArray[np.int64]
    repeats: NDArray[np.int64]
    groups: list[str]
    broken: list[str]
    names: list[str] = dataclasses.field(default_factory=list)


def is_synthetic(example: Example) -> bool:
    """Whether an example is spoken by a synthetic voice."""
    return example.made.startswith("synth:")


def frontend_of(params: FrontendParams) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the engine's front-end: [S] float32 -> [T, M] float32."""
    from bifast._core import Frontend

    return Frontend(**{f.name: getattr(params, f.name) for f in dataclasses.fields(FrontendParams)})


def task_examples(task: Task, folder: DataFolder, split: str, spec: DataSpec) -> list[Example]:
    """Return the examples of a split: those of the task, with the synthetic words of the recipe.

    `ValueError` if `synthetic_only` names a word that the task does not let speak.
    """
    examples = task.examples(folder, split)
    strangers = [w for w in spec.synthetic_only if w not in task.spoken()]
    if strangers:
        raise ValueError(
            f"data.synthetic_only: {', '.join(strangers)}: no words that task {task.name} lets speak; "
            f"{nearest(strangers[0], list(task.spoken()))}"
        )
    if split in ("training", "validation"):
        examples = [e for e in examples if e.group not in spec.synthetic_only]
    if split != "training":
        return examples
    recorded = Counter(e.group for e in examples)
    for word, label in task.spoken().items():
        count = spec.synthetic
        if task.labels[label] == word:
            count = spec.synthetic_commands or count
            count = max(count, spec.synthetic_fill - recorded[word])
        examples += [
            Example(label, "synthetic", made=f"synth:{word}:{count}:{index}")
            for index in range(count)
        ]
    return examples


@dataclass(frozen=True)
class _Job:
    """Everything that the features of a split depend on."""

    examples: list[Example]
    folder: DataFolder
    task: Task
    split: str
    spec: DataSpec
    params: FrontendParams

    @property
    def training(self) -> bool:
        return self.split == "training"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Variants, frames and bands of an example."""
        variants = self.spec.variants if self.training else 1
        return variants, self.params.n_frames, self.params.n_mels

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """Of the features."""
        return np.float16 if self.training else np.float32

    def key(self) -> str:
        """Hash it, the files of the clips included."""
        clips: list[Clip] = [e.clip for e in self.examples if e.clip is not None]
        if self.training:
            clips += self.folder.clips("noise", "training") + self.folder.clips("rir")
        # Masks are laid over the features later, and crops are for images.
        spec = dataclasses.asdict(dataclasses.replace(self.spec, masks=Masks()))
        del spec["crops"]
        synth = [SYNTH_VERSION] if any(map(is_synthetic, self.examples)) else []
        plan = {
            "version": [CACHE_VERSION, bifast.__version__, *synth],
            "files": self.folder.fingerprint(clips),
            "examples": hashlib.sha256(repr(self.examples).encode()).hexdigest(),
            "spec": spec if self.training else None,
            "frontend": [dataclasses.asdict(self.params), _probe(self.params)],
        }
        return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]


def _probe(params: FrontendParams) -> str:
    """Hash what the front-end makes of some noise: another front-end, other features."""
    noise = np.random.default_rng(0).standard_normal(params.window_samples, np.float32) * 0.1
    return hashlib.sha256(frontend_of(params)(noise.astype(np.float32)).tobytes()).hexdigest()


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
        If the split has no examples, or none that can be decoded.
    """
    examples = task_examples(task, folder, split, spec)
    if not examples:
        raise ValueError(f"task {task.name}: {folder.path} has no clips for the {split} split")
    job = _Job(examples, folder, task, split, spec, params)

    def wait(block: Callable[[], None]) -> None:
        for _ in track([None], f"features: {split}, another training computes them"):
            block()

    path = cache / f"{task.name}-{split}-{job.key()}.npz"
    found = cached(path, lambda: _compute(job, cache, track), wait)
    kept = [examples[i] for i in found["kept"]]
    return Split(
        features=found["features"],
        labels=np.array([e.label for e in kept], np.int64),
        repeats=np.array([e.repeat for e in kept], np.int64),
        groups=[e.group for e in kept],
        broken=[str(name) for name in found["broken"]],
        names=[e.clip.name if e.clip is not None else e.made for e in kept],
    )


def _compute(job: _Job, cache: Path, track: Track) -> Arrays:
    """Return `features` [N, V, T, M], `kept` [N] indices of examples, `broken` names."""
    parts = [
        range(first, min(first + _PART, len(job.examples)))
        for first in range(0, len(job.examples), _PART)
    ]
    out = np.empty((len(job.examples), *job.shape), job.dtype)
    kept: list[int] = []
    broken: list[str] = []
    with spread(partial(_Worker, job, cache), parts) as results:
        for _, (rows, indices, names) in zip(
            track(parts, f"features: {job.split}"), results, strict=True
        ):
            out[len(kept) : len(kept) + len(indices)] = rows
            kept += indices
            broken += names
    if not kept:
        raise ValueError(
            f"{job.split} split: none of {len(job.examples)} clips can be decoded; "
            f"{'; '.join(broken[:3])}"
        )
    return {
        "features": out[: len(kept)],
        "kept": np.array(kept, np.int64),
        "broken": np.array(broken, np.str_),
    }


class _Worker:
    """Computes the features of some examples of a job; one in each process."""

    def __init__(self, job: _Job, cache: Path) -> None:
        self.job = job
        self.synth = None
        if any(map(is_synthetic, job.examples)):
            self.synth = Synthesizer(cache / "synth", job.spec.seed, job.spec.piper_voices)
        self.fill = _Filler(job) if job.shape[0] > 1 else None
        self.frontend = frontend_of(job.params)

    def __call__(self, part: range) -> tuple[NDArray[Any], list[int], list[str]]:
        """Return features [n, V, T, M], the n indices that they belong to, and what is broken."""
        job = self.job
        before = len(job.folder.broken)
        rows = np.empty((len(part), *job.shape), job.dtype)
        kept: list[int] = []
        for index in part:
            wave = load_wave(job.examples[index], job.folder, self.synth, job.params.window_samples)
            if wave is None:
                continue
            row = rows[len(kept)]
            kept.append(index)
            row[0] = self.frontend(wave)
            if self.fill is not None:
                self.fill(row, index, wave)
        return rows[: len(kept)], kept, job.folder.broken[before:]


class _Filler:
    """Fills the variants of an example; each is a function of seed, example and variant."""

    def __init__(self, job: _Job) -> None:
        quiet = job.task.labels.index("silence") if "silence" in job.task.labels else -1
        self.quiet = [e.label == quiet for e in job.examples]
        speech = [e for e, q in zip(job.examples, self.quiet, strict=True) if not q]
        self.plan, self.seed, self.params = job.spec.augment, job.spec.seed, job.params
        self.sounds = find_sounds(job.folder, speech, self.plan, self.seed)
        self.frontend = frontend_of(job.params)
        # Frames beyond the window, so many that the window's own see no reflection.
        p = job.params
        self.margin = -(-p.n_fft // (2 * p.hop)) if p.center else 0

    def __call__(self, row: NDArray[Any], index: int, wave: NDArray[np.float32]) -> None:
        """Fill row[1:], [V, T, M], with versions of the example's wave."""
        samples, margin = self.params.window_samples, self.margin
        sounds = dataclasses.replace(self.sounds, speech=[]) if self.quiet[index] else self.sounds
        for variant in range(1, len(row)):
            rng = np.random.default_rng((self.seed, index, variant))
            changed = augment(wave, self.plan, rng, sounds, samples, margin * self.params.hop)
            first = margin if changed.size > samples else 0
            row[variant] = self.frontend(changed)[first : first + self.params.n_frames]
