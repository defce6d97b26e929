"""The layout with one folder of sound files a word: Speech Commands as downloaded, or one's own words."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import stat
from pathlib import Path

from bifast.audio import SUFFIXES
from bifast.train.data.clip import RATE, Clip, Listing

LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
# Speech Commands' rule hashes into this many buckets: its MAX_NUM_WAVS_PER_CLASS.
_BUCKETS = 2**27 - 1
# Folders that are no words: (kind, word).
_SPECIAL = {
    "_background_noise_": ("noise", ""),
    "_room_responses_": ("rir", ""),
    "_silence_": ("silence", "silence"),
    "silence": ("silence", "silence"),
    "_unknown_": ("keyword", "unknown"),
}


def which_set(name: str, validation: float = 10.0, testing: float = 10.0) -> str:
    """Return the split of a sound file by Speech Commands' rule.

    Parameters
    ----------
    name
        File name; what follows `_nohash_` does not count, so a speaker is in one split alone.
    validation, testing
        Percent of the clips.

    Notes
    -----
    `which_set` in the README of Speech Commands (Warden, arXiv 1804.03209): SHA-1 of the name, modulo
    2^27, as a percentage; first validation, then testing.
    """
    share = _bucket(_speaker(name)) * 100 / _BUCKETS
    if share < validation:
        return "validation"
    return "testing" if share < validation + testing else "training"


def _speaker(name: str) -> str:
    return re.sub(r"_nohash_.*$", "", Path(name).name)


def _bucket(text: str) -> int:
    return int(hashlib.sha1(text.encode()).hexdigest(), 16) % (_BUCKETS + 1)


def read_word_folders(path: Path) -> Listing:
    """List the clips of a folder that holds one folder of sound files for each word.

    Returns
    -------
    Listing
        `_background_noise_`, `_room_responses_`, `_silence_` (or `silence`) and `_unknown_` are no
        words. Splits: those of `validation_list.txt` and `testing_list.txt` where they are, else
        `which_set`, after which each split is given at least one recording of every word. A folder
        with `_unknown_` and `_silence_` but neither lists nor background noise is one of the
        official test sets: all of it is `testing`.

    Raises
    ------
    ValueError
        If there are no sound files, they lie directly in the folder or too deep, or only one list
        is there.
    """
    skipped: list[str] = []
    found = {f.name: _sounds(f, skipped) for f in _folders(path)}
    if not any(found.values()):
        raise ValueError(_why_empty(path))
    clips = [_clip(path, folder, entry) for folder, files in found.items() for entry in files]
    lists = [name for name in LISTS.values() if (path / name).is_file()]
    if len(lists) == 1:
        raise ValueError(f"{path} has {lists[0]} alone; expected {' and '.join(LISTS.values())}")
    if lists:
        clips = _listed(path, clips, skipped)
    elif {"_unknown_", "_silence_"} <= found.keys() and "_background_noise_" not in found:
        clips = [dataclasses.replace(c, split="testing") for c in clips]
    else:
        clips = _every_word_in_every_split(clips)
    return Listing(clips, skipped)


def _folders(path: Path) -> list[Path]:
    return sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))


def _sounds(folder: Path, skipped: list[str]) -> list[os.DirEntry[str]]:
    """Return the sound files of a folder; what only has the name of one is named in `skipped`."""
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                continue
            name = f"{folder.name}/{entry.name}"
            if reason := _why_not(entry, name):
                shown = name.encode(errors="backslashreplace").decode()
                skipped.append(f"{shown}: {reason}")
            else:
                found.append(entry)
    return found


def _why_not(entry: os.DirEntry[str], name: str) -> str:
    """Return why an entry of a folder can not be a clip; empty if it can."""
    try:
        name.encode()
        if stat.S_ISREG(entry.stat().st_mode):
            return ""
    except UnicodeEncodeError:
        return "expected a name in UTF-8"
    except OSError as error:  # links to nothing, and in a circle
        return error.strerror or str(error)
    return "expected a file, got a folder, a device or a pipe"


def _clip(path: Path, folder: str, entry: os.DirEntry[str]) -> Clip:
    kind, word = _SPECIAL.get(folder, ("keyword", folder))
    name = f"{folder}/{entry.name}"
    return Clip(
        file=name,
        offset=0,
        length=entry.stat().st_size,
        samples=_samples(path / name) if kind == "noise" else RATE,
        kind=kind,
        word=word,
        speaker=_speaker(entry.name),
        split="training" if kind in ("noise", "rir") else which_set(entry.name),
        dataset="background" if kind == "noise" else "",
        name=name,
    )


def _samples(path: Path) -> int:
    """Return the length of a sound file at 16 kHz from its header; a second if it can not be read."""
    import soundfile

    try:
        facts = soundfile.info(path)
        return max(1, int(facts.frames * RATE / facts.samplerate))
    except (OSError, RuntimeError, ZeroDivisionError):
        return RATE


def _listed(path: Path, clips: list[Clip], skipped: list[str]) -> list[Clip]:
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        lines = (path / name).read_text(encoding="utf-8", errors="replace").splitlines()
        splits.update({line.strip(): split for line in lines if line.strip()})
    there = {c.name for c in clips}
    skipped += [
        f"{n}: in {LISTS[s]}, not in the folder" for n, s in splits.items() if n not in there
    ]
    return [
        dataclasses.replace(c, split=splits.get(c.name, "training")) if c.kind == "keyword" else c
        for c in clips
    ]


def _every_word_in_every_split(clips: list[Clip]) -> list[Clip]:
    """Move one speaker of a word into each split that the hash left without that word.

    A word with fewer than three speakers is divided by its files.
    """
    moved: dict[str, str] = {}
    words: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.kind in ("keyword", "silence"):
            words.setdefault(clip.word, []).append(clip)
    for group in words.values():
        by_speaker = len({c.speaker for c in group}) >= 3
        units: dict[str, dict[str, list[str]]] = {"training": {}, "testing": {}, "validation": {}}
        for clip in group:
            unit = clip.speaker if by_speaker else clip.name
            units[clip.split].setdefault(unit, []).append(clip.name)
        for split, have in units.items():
            giver = max(units.values(), key=len)
            if not have and len(giver) > 1:
                unit = min(giver, key=_bucket)
                have[unit] = giver.pop(unit)
                moved.update(dict.fromkeys(have[unit], split))
    return [dataclasses.replace(c, split=moved.get(c.name, c.split)) for c in clips]


def _why_empty(path: Path) -> str:
    asked = f"expected one folder of sound files for each word in {path}, or an index.csv"
    if _sounds(path, []):
        return f"{asked}; found sound files directly in it: put those of each word in a folder"
    for folder in _folders(path):
        for below in _folders(folder):
            if _sounds(below, []):
                return f"{asked}; found them one folder deeper, in {below}: give {folder}"
    kinds = " ".join(sorted(s[1:] for s in SUFFIXES))
    return f"{asked}; found no sound files ({kinds})"
