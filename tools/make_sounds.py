"""Make the sounds of `bifast demo` with the speech synthesizers festival, flite and espeak-ng.

    apt-get install festival festvox-us-slt-hts flite espeak-ng
    python tools/make_sounds.py [DIR]       needs the package soxr too

Each clip is one word, one second, 16 kHz mono int16, centred, over the noise of a quiet room; the name
says the word and the voice. `sentence.wav` has all the words with pauses between them, for a scan.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 16000
WORDS = ("yes", "no", "up", "down", "left", "right", "stop", "go")
NOISE_RMS = 10 ** (-66 / 20)
SENTENCE_GAP = 0.4  # seconds between the words of the sentence


@dataclass(frozen=True)
class Voice:
    """A synthesizer's voice.

    Parameters
    ----------
    name
        Goes into the file's name.
    command
        Reads a word from standard input or the argument `{word}` and writes `{out}`.
    peak_db
        Level of the loudest sample, dBFS.
    """

    name: str
    command: tuple[str, ...]
    peak_db: float


# Training uses neither voice; both are made from recordings, of a man and a woman.
RMS = Voice(
    "rms",
    ("flite", "-voice", "rms", "--setf", "duration_stretch=1.2", "-t", "{word}", "-o", "{out}"),
    -4.5,
)
SLT = Voice("slt", ("text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)", "-o", "{out}"), -3.0)


def speak(voice: Voice, word: str) -> NDArray[np.float64]:
    """Return the spoken word, [S] at 16 kHz, trimmed to what is louder than 40 dB under its peak."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        command = [part.format(word=word, out=path) for part in voice.command]
        subprocess.run(command, input=word.encode(), check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    sound = soxr.resample(pcm / 32768.0, rate, RATE)
    envelope = np.convolve(np.abs(sound), np.ones(160) / 160, mode="same")
    loud = np.flatnonzero(envelope > 0.01 * envelope.max())
    sound = sound[loud[0] : loud[-1] + 1]
    return sound * (10 ** (voice.peak_db / 20) / np.abs(sound).max())


def save(path: Path, sound: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Write a sound, [S], over quiet noise as 16-bit PCM."""
    noisy = sound + NOISE_RMS * rng.standard_normal(sound.size)
    pcm = np.clip(np.round(noisy * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    print(f"{path}: {pcm.size / RATE:.2f} s")


def centred(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sound in the middle of one second, [16000]."""
    sound = sound[:RATE]
    before = (RATE - sound.size) // 2
    return np.pad(sound, (before, RATE - before - sound.size))


def main() -> None:
    """Make every sound."""
    default = Path(__file__).resolve().parent.parent / "python" / "bifast" / "sounds"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    rng = np.random.default_rng(4)
    for word in WORDS:
        save(folder / f"{word}-{RMS.name}.wav", centred(speak(RMS, word)), rng)
    gap = np.zeros(round(SENTENCE_GAP * RATE))
    spoken = [part for word in WORDS for part in (speak(SLT, word), gap)]
    save(folder / "sentence.wav", np.concatenate([gap, *spoken]), rng)


if __name__ == "__main__":
    main()
