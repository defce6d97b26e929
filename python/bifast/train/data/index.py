"""The layout with an `index.csv`: each row is a clip, bytes of some file."""

from __future__ import annotations

import csv
from pathlib import Path

from bifast.train.data.clip import RATE, Clip, Listing

INDEX = "index.csv"
_TEXTS = ("file", "kind", "word", "speaker", "split", "dataset", "name")
_COLUMNS = (*_TEXTS, "offset", "length")


def read_index(path: Path) -> Listing:
    """List the clips of a folder with an `index.csv`.

    Returns
    -------
    Listing
        Rows that are cut short, hold no numbers where numbers belong, or point outside their file
        are skipped.

    Raises
    ------
    ValueError
        If the index lacks a column, is no CSV text, or has no row that can be used.
    """
    index = path / INDEX
    sizes: dict[str, int] = {}
    clips, skipped = [], []
    try:
        with index.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [c for c in _COLUMNS if c not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"{index}: no column {', '.join(missing)}")
            for row in reader:
                try:
                    clip = _clip(row)
                    _check_place(clip, path, sizes)
                    clips.append(clip)
                except ValueError as error:
                    skipped.append(f"{INDEX} line {reader.line_num}: {error}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{index} is no CSV text: {error}") from None
    if not clips:
        why = f"none of {len(skipped)} rows can be used; {skipped[0]}" if skipped else "no rows"
        raise ValueError(f"{index}: lists no clips: {why}")
    return Listing(clips, skipped)


def _clip(row: dict[str, str | None]) -> Clip:
    if None in row.values() or None in row:
        raise ValueError("wrong number of values")
    texts = {column: str(row[column]) for column in _TEXTS}
    rate = int(row.get("rate") or RATE)
    samples = int(row.get("n_samples") or rate)
    clip = Clip(
        **texts,
        offset=int(row["offset"] or ""),
        length=int(row["length"] or ""),
        samples=samples * RATE // rate if rate > 0 else 0,
    )
    if clip.offset < 0 or clip.length < 1 or clip.samples < 1:
        raise ValueError(
            f"{clip.name}: offset {clip.offset}, length {clip.length}, {samples} samples at {rate} Hz"
        )
    return clip


def _check_place(clip: Clip, path: Path, sizes: dict[str, int]) -> None:
    if clip.file not in sizes:
        file = path / clip.file
        sizes[clip.file] = file.stat().st_size if file.is_file() else -1
    size = sizes[clip.file]
    if size < 0:
        raise ValueError(f"{clip.name}: there is no file {clip.file!r}")
    if clip.offset + clip.length > size:
        raise ValueError(
            f"{clip.name}: bytes {clip.offset} .. {clip.offset + clip.length} of {clip.file}, "
            f"which has {size}"
        )
