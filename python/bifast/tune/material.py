"""What a model is tuned and measured on: clips of words, and background in which none is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bifast import audio
from bifast.errors import FormatError
from bifast.train.data import DataFolder
from bifast.train.data.clip import Clip
from bifast.train.data.index import INDEX
from bifast.word import NOT_WORDS

Wave = NDArray[np.float32]
Part = Literal["tuning", "report"]
PARTS: tuple[Part, ...] = ("tuning", "report")
# Background without splits: such pieces serve the two parts in turns.
_PIECE_SECONDS = 60
_KINDS = ("speech", "noise")


@dataclass
class Material:
    """Clips and background, each in two parts: one to tune on, one to report on.

    Attributes
    ----------
    folder
        Where the clips of words are. Its split `validation` is tuned on, `testing` reported on.
    words
        Labels of the model that have clips in both.
    background
        Data folders with an `index.csv`, of which the kinds `speech` and `noise` are taken, their
        split `testing` to report on and the others to tune on; other folders, and files, whose sound
        goes to tuning and reporting in turns, a minute each.
    rate
        Hz.
    broken
        What could not be read, each with its reason.
    tell
        Called with each of these as it is met.
    """

    folder: DataFolder
    words: tuple[str, ...]
    background: tuple[Path, ...]
    rate: int
    broken: list[str] = field(default_factory=list)
    tell: Callable[[str], None] = lambda why: None
    _pieces: int = 0

    def clips(self, part: Part) -> list[Clip]:
        """Return the clips of the words, in the order of the words and of the folder."""
        split = "validation" if part == "tuning" else "testing"
        return [c for word in self.words for c in self.folder.clips("keyword", split, [word])]

    def wave(self, clip: Clip) -> Wave | None:
        """Decode a clip of a word; None, and a line in `broken`, if it cannot be."""
        return self._decoded(self.folder, clip)

    def sources(self) -> list[tuple[DataFolder, Clip] | Path]:
        """Return where the background is: clips of data folders, and sound files."""
        found: list[tuple[DataFolder, Clip] | Path] = []
        for path in self.background:
            if path.is_dir() and (path / INDEX).is_file():
                folder = DataFolder(path)
                found += [(folder, clip) for kind in _KINDS for clip in folder.clips(kind)]
            else:
                found += _sound_files(path)
        return found

    def pieces(self, source: tuple[DataFolder, Clip] | Path) -> Iterator[tuple[Part, Wave]]:
        """Yield the sound of a source, of any length, each with the part it belongs to."""
        if isinstance(source, Path):
            try:
                for piece in _cut(audio.stream(source, self.rate), _PIECE_SECONDS * self.rate):
                    yield PARTS[self._pieces % 2], piece
                    self._pieces += 1
            except (OSError, FormatError) as error:
                self._leave_out(f"{source}: {error}")
            return
        wave = self._decoded(*source)
        if wave is not None:
            yield ("report" if source[1].split == "testing" else "tuning"), wave

    def _decoded(self, folder: DataFolder, clip: Clip) -> Wave | None:
        wave = folder.wave(clip)
        if wave is None:
            self._leave_out(folder.broken[-1])
        return wave

    def _leave_out(self, why: str) -> None:
        self.broken.append(why)
        self.tell(why)


def find_material(
    labels: Sequence[str],
    positives: Path,
    background: Sequence[Path],
    rate: int,
    tell: Callable[[str], None] = lambda why: None,
) -> Material:
    """Look what there is.

    Parameters
    ----------
    labels
        Of the model; `unknown` and `silence` are no words.
    positives
        A data folder: one folder of sounds a word, or an `index.csv`.
    background
        Folders and files; none: those of `positives`, if it has an `index.csv`.
    rate
        Hz.
    tell
        Told what cannot be read, as it is met.

    Raises
    ------
    ValueError
        If no word of the model has clips to tune on and to report on, or there is no background.
    FileNotFoundError
        If a folder or file is missing.
    """
    for path in (positives, *background):
        if not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
    if not positives.is_dir():
        raise ValueError(f"--positives: expected a folder, got {positives}")
    possible = [word for word in labels if word not in NOT_WORDS]
    if not possible:
        raise ValueError(
            "the model has no words to tune: all its labels are "
            f"{', '.join(labels)}; `bifast enroll` gives it words"
        )
    folder = DataFolder(positives)
    spoken = [{c.word for c in folder.clips("keyword", s)} for s in ("validation", "testing")]
    words = [w for w in possible if all(w in found for found in spoken)]
    if not words:
        raise ValueError(
            f"{positives}: expected clips of {', '.join(possible)}, "
            f"both for validation and testing; found {', '.join(sorted(spoken[0] | spoken[1])[:20])}"
        )
    if not background and not (positives / INDEX).is_file():
        raise ValueError("--background: expected folders or files in which no word is spoken")
    if folder.skipped:
        tell(f"{len(folder.skipped)} entries of {positives}, the first: {folder.skipped[0]}")
    return Material(
        folder, tuple(words), tuple(background) or (positives,), rate, list(folder.skipped), tell
    )


def _sound_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(f for f in path.rglob("*") if f.suffix.lower() in audio.SUFFIXES)
    if not found:
        raise ValueError(f"{path}: expected sound files, found none")
    return found


def _cut(blocks: Iterator[Wave], size: int) -> Iterator[Wave]:
    """Cut sound into pieces of `size` samples; the last is shorter."""
    held: list[Wave] = []
    count = 0
    for block in blocks:
        while count + len(block) >= size:
            head, block = block[: size - count], block[size - count :]
            yield np.concatenate([*held, head])
            held, count = [], 0
        held.append(block)
        count += len(block)
    if count:
        yield np.concatenate(held)
