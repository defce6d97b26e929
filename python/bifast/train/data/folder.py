"""A data folder: clips of any layout, decoded on demand."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bifast import audio
from bifast.errors import FormatError
from bifast.train.data.clip import RATE, Clip, Listing
from bifast.train.data.index import INDEX, read_index
from bifast.train.data.word_folders import read_word_folders


def find_data(path: str | os.PathLike[str] | None = None) -> Path:
    """Find the data folder.

    Parameters
    ----------
    path
        The folder, or an archive of images; without it the environment variable BIFAST_DATA, then
        `shared/data` beside the checkout.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    beside = Path(__file__).resolve().parents[4].parent / "shared" / "data"
    chosen = Path(path or os.environ.get("BIFAST_DATA") or beside)
    if not chosen.exists():
        named = chosen if chosen != beside else "named"
        raise FileNotFoundError(
            f"no folder or archive {named}; give the data folder on the command line, or set BIFAST_DATA"
        )
    return chosen


def read_layout(path: Path) -> Listing:
    """List the clips of a folder: with an `index.csv`, or with one folder for each word."""
    return read_index(path) if (path / INDEX).is_file() else read_word_folders(path)


class DataFolder:
    """The clips of a data folder.

    Parameters
    ----------
    path
        A folder of one of the layouts.

    Attributes
    ----------
    path
        The folder.
    skipped
        What the layout left out, each with its reason.
    broken
        Clips that could not be decoded, each with its reason, in the order they were met.

    Raises
    ------
    ValueError
        If it is no data folder: says what was expected and found.
    """

    def __init__(self, path: Path) -> None:
        listing = read_layout(path)
        self.path = path
        self.skipped = listing.skipped
        self.broken: list[str] = []
        self._clips = listing.clips
        self._last: tuple[Clip, NDArray[np.float32]] | None = None

    def clips(
        self, kind: str, split: str | None = None, words: Collection[str] | None = None
    ) -> list[Clip]:
        """Return the clips of a kind, of a split and of some words, in the order of the layout."""
        return [
            c
            for c in self._clips
            if c.kind == kind
            and (split is None or c.split == split)
            and (words is None or c.word in words)
        ]

    def wave(self, clip: Clip) -> NDArray[np.float32] | None:
        """Decode a clip.

        Returns
        -------
        ndarray or None
            Mono float32 in [-1, 1] at 16 kHz, its own length; None, and its name in `broken`, if
            it is missing, cut, empty, no sound, or not finite.
        """
        # Examples cut from one long recording follow each other: decode it once.
        if self._last is not None and self._last[0] is clip:
            return self._last[1]
        try:
            wave = audio.load(self._bytes(clip), RATE)
        except (OSError, FormatError) as error:
            self.broken.append(f"{clip.name}: {error}")
            return None
        self._last = (clip, wave)
        return wave

    def _bytes(self, clip: Clip) -> io.BytesIO:
        with (self.path / clip.file).open("rb") as file:
            file.seek(clip.offset)
            data = file.read(clip.length)
        if len(data) < clip.length or not data:
            raise FormatError(f"expected {max(1, clip.length)} bytes, got {len(data)}")
        return io.BytesIO(data)

    def fingerprint(self, clips: Iterable[Clip]) -> str:
        """Hash names, sizes and times of the files of some clips: changes when a file does."""
        digest = hashlib.sha256()
        for name in sorted({c.file for c in clips}):
            try:
                facts = (self.path / name).stat()
                digest.update(f"{name}:{facts.st_size}:{facts.st_mtime_ns}\n".encode())
            except OSError:
                digest.update(f"{name}: missing\n".encode())
        return digest.hexdigest()
