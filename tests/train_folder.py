"""A tiny data folder: tones for words, in the layout of the real one."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = [
    "file",
    "offset",
    "length",
    "codec",
    "rate",
    "n_samples",
    "kind",
    "word",
    "speaker",
    "split",
    "dataset",
    "name",
]
PER_SPLIT = {"training": 4, "validation": 1, "testing": 2}


def tone(word: int, number: int) -> np.ndarray[Any, Any]:
    """A second of a tone whose pitch is the word's, with noise that differs for each number."""
    rng = np.random.default_rng(100 * word + number)
    t = np.arange(16000) / 16000
    wave = 0.3 * np.sin(2 * np.pi * (300 + 250 * word) * t) + 0.01 * rng.standard_normal(t.size)
    return wave.astype(np.float32)


def make_folder(path: Path, words: tuple[str, ...], *, broken: int = 0) -> Path:
    """Write a folder with some clips of each word in each split; the last `broken` are junk."""
    import soundfile

    path.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    blob = b""
    for index, word in enumerate(words):
        for split, count in PER_SPLIT.items():
            for number in range(count):
                buffer = io.BytesIO()
                name = f"{word}/{split}{number}.wav"
                wave = tone(index, number + 10 * len(split))
                soundfile.write(buffer, wave, 16000, format="FLAC", subtype="PCM_16")
                rows.append(row(name, word, split, len(blob), len(buffer.getvalue())))
                blob += buffer.getvalue()
    for number in range(broken):
        rows.append(row(f"broken{number}.wav", words[0], "training", len(blob), 40))
        blob += b"not a sound file, but forty bytes long.."
    (path / "all.bin").write_bytes(blob)
    with (path / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return path


def row(name: str, word: str, split: str, offset: int, length: int) -> dict[str, Any]:
    """One line of the index."""
    return {
        "file": "all.bin",
        "offset": offset,
        "length": length,
        "codec": "flac",
        "rate": 16000,
        "n_samples": 16000,
        "kind": "keyword",
        "word": word,
        "speaker": name,
        "split": split,
        "dataset": "tones",
        "name": name,
    }
