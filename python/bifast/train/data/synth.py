"""Words spoken by espeak-ng and flite, to widen the training set; made on demand into a cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bifast.train.data.folder import RATE, resample

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
VARIANTS = ("m1", "m2", "m4", "m5", "m6", "m7", "f1", "f2", "f4", "f5", "Andy", "Annie", "Linda")
FLITE_VOICES = ("kal16", "kal", "awb")
# Held out, so that there are synthetic voices to test with that no net has heard: the accent
# en-gb-x-rp and the variants f3 and m3 of espeak-ng, the voices slt and rms of flite.


@dataclass(frozen=True)
class Voice:
    """One way of speaking: program, voice, words per minute, pitch 0 .. 99 (espeak-ng only)."""

    program: str
    voice: str
    speed: int
    pitch: int


def voices(word: str, count: int, seed: int) -> list[Voice]:
    """Draw `count` voices for a word; the same word and seed give the same voices."""
    digest = hashlib.sha256(f"{word}:{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    drawn = []
    for _ in range(count):
        speed, pitch = int(rng.integers(110, 200)), int(rng.integers(20, 80))
        if rng.random() < 0.3:
            drawn.append(Voice("flite", str(rng.choice(FLITE_VOICES)), speed, 50))
        else:
            voice = f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}"
            drawn.append(Voice("espeak-ng", voice, speed, pitch))
    return drawn


def speak(word: str, voice: Voice) -> NDArray[np.float32]:
    """Run the speech program; returns mono float32 at 16 kHz without silence at the ends."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        if voice.program == "flite":
            stretch = f"duration_stretch={150 / voice.speed:.2f}"
            command = ["flite", "-voice", voice.voice, "--setf", stretch, "-t", word]
            command += ["-o", str(path)]
        else:
            rate, pitch = str(voice.speed), str(voice.pitch)
            command = ["espeak-ng", "-v", voice.voice, "-s", rate, "-p", pitch]
            command += ["-w", str(path), word]
        subprocess.run(command, capture_output=True, check=True, timeout=30)
        wave, rate_hz = soundfile.read(path, dtype="float32")
    wave = resample(wave, rate_hz)
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max(initial=1e-6))
    return wave[loud[0] : loud[-1] + 1] if loud.size else wave


class Synthesizer:
    """Spoken words in a cache file, placed at a random time in one second.

    Parameters
    ----------
    cache
        Folder for the sound; one `.npy` for each spoken word.
    seed
        Chooses voices, level and placement.
    """

    def __init__(self, cache: Path, seed: int) -> None:
        missing = [p for p in ("espeak-ng", "flite") if shutil.which(p) is None]
        if missing:
            raise RuntimeError(
                f"synthetic words need {' and '.join(missing)}: install, or set data.synthetic=0"
            )
        self.cache = cache
        self.seed = seed
        cache.mkdir(parents=True, exist_ok=True)

    def wave(self, key: str) -> NDArray[np.float32]:
        """Return the second of sound for `WORD:COUNT:INDEX`: the INDEX-th of COUNT voices."""
        word, count, index = key.split(":")
        name = hashlib.sha256(f"{key}:{self.seed}".encode()).hexdigest()[:24]
        path = self.cache / f"{name}.npy"
        if path.exists():
            spoken: NDArray[np.float32] = np.load(path).astype(np.float32) / 32768
        else:
            spoken = speak(word, voices(word, int(count), self.seed)[int(index)])
            beside = path.with_suffix(".part.npy")
            np.save(beside, np.round(spoken * 32767).astype(np.int16))
            beside.replace(path)
        rng = np.random.default_rng(int(name[:12], 16))
        out = np.zeros(RATE, np.float32)
        spoken = spoken[:RATE]
        start = rng.integers(RATE - spoken.size + 1)
        level = 10 ** (rng.uniform(-20, -3) / 20) / max(float(np.abs(spoken).max()), 1e-6)
        out[start : start + spoken.size] = spoken * level
        # A whisper of noise: without it the pauses would be digital silence, unlike any recording.
        return out + rng.normal(0, 10 ** rng.uniform(-4.5, -3), RATE).astype(np.float32)
