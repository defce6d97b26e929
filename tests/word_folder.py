"""A small Speech Commands folder: noise for sound, names in the form of the real one."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_wav(
    path: Path, samples: npt.NDArray[np.float32], rate: int = 16000, channels: int = 1
) -> None:
    """Write 16-bit samples [S], the same in each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ints = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(ints, channels).tobytes())


def tone(
    word: int, number: int, rate: int = 16000, seconds: float = 1.0
) -> npt.NDArray[np.float32]:
    """A tone whose pitch is the word's, with noise that differs for each number."""
    rng = np.random.default_rng(1000 * word + number)
    t = np.arange(int(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (300 + 250 * word) * t) + 0.01 * rng.standard_normal(t.size)
    return wave.astype(np.float32)


def make_words(path: Path, words: tuple[str, ...], count: int, *, noise: bool = True) -> Path:
    """Write `count` clips of each word by `count` speakers, and a recording of noise."""
    for index, word in enumerate(words):
        for number in range(count):
            write_wav(path / word / f"{number:08x}_nohash_0.wav", tone(index, number))
    if noise:
        hum = 0.1 * np.random.default_rng(0).standard_normal(40000)
        write_wav(path / "_background_noise_" / "hum.wav", hum.astype(np.float32))
    (path / "README.md").write_text("not a folder of words")
    return path


def write_lists(path: Path) -> None:
    """Put the clips numbered 0 and 1 of each word into testing, 2 into validation."""
    clips = sorted(f"{p.parent.name}/{p.name}" for p in path.glob("[!_]*/*.wav"))
    chosen = {"testing": ("00000000", "00000001"), "validation": ("00000002",)}
    for split, speakers in chosen.items():
        lines = [c for c in clips if c.split("/")[1].startswith(speakers)]
        (path / f"{split}_list.txt").write_text("\n".join(lines) + "\n")
