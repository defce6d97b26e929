"""Read the data folder: `index.csv` and the container files it points into."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000
_COLUMNS = ("file", "offset", "length", "kind", "word", "speaker", "split", "dataset", "name")


@dataclass(frozen=True)
class Clip:
    """One row of `index.csv`; `offset` and `length` in bytes, `samples` at the clip's own rate."""

    file: str
    offset: int
    length: int
    samples: int
    kind: str
    word: str
    speaker: str
    split: str
    dataset: str
    name: str


def find_data(path: str | os.PathLike[str] | None = None) -> Path:
    """Find the data folder.

    Parameters
    ----------
    path
        The folder; without it the environment variable BIFAST_DATA, then `shared/data` beside the
        checkout.

    Returns
    -------
    Path
        A folder with an `index.csv`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    beside = Path(__file__).resolve().parents[4].parent / "shared" / "data"
    chosen = Path(path or os.environ.get("BIFAST_DATA") or beside)
    if not (chosen / "index.csv").is_file():
        raise FileNotFoundError(
            f"no index.csv in {chosen}; give the data folder on the command line, or set BIFAST_DATA"
        )
    return chosen


@dataclass
class DataFolder:
    """Clips of a data folder, decoded on demand.

    Attributes
    ----------
    path
        The folder.
    broken
        Names of clips that could not be decoded, in the order they were met.
    """

    path: Path
    broken: list[str] = field(default_factory=list)
    _last: tuple[Clip, NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        """Read the index; `ValueError` if it lacks a column or has no rows."""
        with (self.path / "index.csv").open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [c for c in _COLUMNS if c not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"{self.path / 'index.csv'}: no column {', '.join(missing)}")
            self._clips = [
                Clip(
                    **{c: row[c] for c in _COLUMNS if c not in ("offset", "length")},
                    offset=int(row["offset"]),
                    length=int(row["length"]),
                    samples=int(row.get("n_samples") or RATE),
                )
                for row in reader
            ]
        if not self._clips:
            raise ValueError(f"{self.path / 'index.csv'} lists no clips")

    def clips(
        self, kind: str, split: str | None = None, words: Collection[str] | None = None
    ) -> list[Clip]:
        """Return the clips of a kind, of a split and of some words, in the order of the index."""
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
            it can not be decoded.
        """
        import soundfile

        # Examples cut from one long recording follow each other: decode it once.
        if self._last is not None and self._last[0] is clip:
            return self._last[1]
        try:
            with (self.path / clip.file).open("rb") as file:
                file.seek(clip.offset)
                data = io.BytesIO(file.read(clip.length))
            wave, rate = soundfile.read(data, dtype="float32", always_2d=True)
        except (OSError, RuntimeError):
            self.broken.append(clip.name)
            return None
        mono: NDArray[np.float32] = wave.mean(axis=1, dtype=np.float32)
        if mono.size == 0:
            self.broken.append(clip.name)
            return None
        wave = mono if rate == RATE else resample(mono, rate)
        self._last = (clip, wave)
        return wave


def resample(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Convert mono float32 samples from `rate` in Hz to 16 kHz."""
    import soxr

    out: NDArray[np.float32] = soxr.resample(wave, rate, RATE)
    return out
