"""Images of a folder or a tar archive, decoded once and cached (H height, W width).

Two layouts, at any place inside: CIFAR's Python batches (`cifar-10-batches-py/data_batch_1` ...), and a
folder of images for each class, `train/CLASS/*` and `test/CLASS/*`.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bifast import image
from bifast.train.data.cache import Arrays, cached
from bifast.train.data.features import Split, Track
from bifast.train.data.python_batches import read_batch
from bifast.train.data.task import ImageTask

# Part of the cache key: raise it when the meaning of an image changes.
_VERSION = 1
# Of each class of the training images every so many are for validation.
HELD_OUT = 50
_IMAGE = re.compile(r"(?:^|/)(train|test)/([^/]+)/[^/.][^/]*$")
_BATCH = re.compile(r"(?:^|/)(?:data_batch_\d+|(test)_batch)$")
Image = NDArray[np.uint8]
Read = Callable[[], bytes]


class ImageFolder:
    """The files of a folder or a tar archive, which may be compressed.

    Parameters
    ----------
    path
        The folder or archive.
    task
        Which classes, and the size of the images.

    Attributes
    ----------
    skipped, broken
        As of `DataFolder`: nothing, and files that could not be used, in the order they were met.
    """

    def __init__(self, path: Path, task: ImageTask) -> None:
        self.path, self.task = path, task
        self.skipped: list[str] = []
        self.broken: list[str] = []

    def files(self) -> Iterator[tuple[str, Read]]:
        """Yield name and content of each file, in order."""
        if self.path.is_dir():
            for file in self._paths():
                yield file.relative_to(self.path).as_posix(), file.read_bytes
            return
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    if content is not None:
                        yield member.name, content.read
        except (tarfile.TarError, EOFError, zlib.error) as error:
            why = str(error).partition("\n")[0]
            raise ValueError(f"{self.path} is no tar archive, or is cut short: {why}") from None

    def fingerprint(self) -> str:
        """Hash names, sizes and times: changes when a file does."""
        digest = hashlib.sha256()
        for file in self._paths() if self.path.is_dir() else [self.path]:
            facts = file.stat()
            digest.update(f"{file}:{facts.st_size}:{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _paths(self) -> list[Path]:
        return sorted(p for p in self.path.rglob("*") if p.is_file())


def load_images(folder: ImageFolder, split: str, cache: Path, track: Track) -> Split:
    """Return the images of a split, from the cache if they are there.

    Parameters
    ----------
    folder, split
        Where they lie, and `training`, `validation` or `testing`.
    cache
        Folder of the cache.
    track
        Wraps the loop over the files, for a progress bar.

    Returns
    -------
    Split
        Its features are [N, 1, side, side, 3] uint8.

    Raises
    ------
    UnsupportedError
        If Pillow is not installed and there are files to decode.
    ValueError
        If there are no images for the split, or none can be used.
    """
    task = folder.task
    plan = f"{_VERSION} {task.labels} {task.side} {split} {folder.fingerprint()}"
    key = hashlib.sha256(plan.encode()).hexdigest()[:16]

    def wait(block: Callable[[], None]) -> None:
        for _ in track([None], f"images: {split}, another training decodes them"):
            block()

    path = cache / f"{task.name}-{split}-{key}.npz"
    found = cached(path, lambda: read_images(folder, split, track), wait)
    labels = found["labels"]
    return Split(
        features=found["images"][:, None],
        labels=labels,
        repeats=np.ones(labels.size, np.int64),
        groups=[task.labels[k] for k in labels],
        broken=[str(name) for name in found["broken"]],
        names=[str(name) for name in found["names"]],
    )


@dataclass
class _Reader:
    """Collects the images of a split, and names what can not be used."""

    task: ImageTask
    split: str
    images: list[Image] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _seen: Counter[int] = field(default_factory=Counter)

    def file(self, name: str, read: Read) -> None:
        """Take a file if it belongs to the split."""
        single, batch = _IMAGE.search(name), _BATCH.search(name)
        match = single or batch
        if match is None or (match[1] == "test") != (self.split == "testing"):
            return
        try:
            if single:
                label = self._label(single[2])
                if self._wants(label):
                    self._add(name, label, self._decode(read()))
            else:
                self._batch(name, *read_batch(read(), self.task.side))
        except (OSError, ValueError) as error:
            self.broken.append(f"{name}: {error}")

    def _decode(self, data: bytes) -> Image:
        return image.load(io.BytesIO(data), (self.task.side, self.task.side, 3))

    def _batch(self, name: str, images: Image, labels: list[int]) -> None:
        if wrong := [label for label in labels if not 0 <= label < len(self.task.labels)]:
            raise ValueError(f"class {wrong[0]} is none of {len(self.task.labels)}")
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            if self._wants(label):
                self._add(f"{name}[{number}]", label, pixels)

    def _label(self, kind: str) -> int:
        if kind not in self.task.labels:
            raise ValueError(f"class {kind} is none of {', '.join(self.task.labels)}")
        return self.task.labels.index(kind)

    def _wants(self, label: int) -> bool:
        """Count an image of the class; says if it belongs to the split."""
        self._seen[label] += 1
        held_out = self._seen[label] % HELD_OUT == 0
        return self.split == "testing" or held_out == (self.split == "validation")

    def _add(self, name: str, label: int, pixels: Image) -> None:
        self.images.append(pixels)
        self.labels.append(label)
        self.names.append(name)


def read_images(folder: ImageFolder, split: str, track: Track) -> Arrays:
    """Decode a split.

    Returns
    -------
    dict
        `images` [N, side, side, 3] uint8, `labels` [N] int64, `names` [N], and `broken`: names and reasons.

    Raises
    ------
    UnsupportedError, ValueError
        As `load_images`.
    """
    reader = _Reader(folder.task, split)
    for name, read in track(folder.files(), f"images: {split}"):
        reader.file(name, read)
    folder.broken += reader.broken
    if not reader.images:
        why = "".join(f"; {name}" for name in reader.broken[:3])
        raise ValueError(
            f"{folder.path} has no images of {folder.task.name} for {split}: expected train/CLASS/* and "
            f"test/CLASS/*, or cifar-10-batches-py/data_batch_1 and so on{why}"
        )
    return {
        "images": np.stack(reader.images),
        "labels": np.array(reader.labels, np.int64),
        "names": np.array(reader.names, np.str_),
        "broken": np.array(reader.broken, np.str_),
    }
