"""A clip: where a recording lies and what is known about it; what each layout of a data folder lists."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 16000


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes
    ----------
    file, offset, length
        File below the data folder, and the bytes of it that are the clip.
    samples
        Length at 16 kHz, as far as the layout knows it; a second where it does not.
    kind
        `keyword`, `noise`, `silence`, `rir` (room response), or what an index calls it.
    word, speaker, split, dataset, name
        `split` is `training`, `validation` or `testing`; `name` is unique and shown to people.
    """

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


@dataclass(frozen=True)
class Listing:
    """What a layout found: clips in a fixed order, and what it had to leave out, each with a reason."""

    clips: list[Clip]
    skipped: list[str]
