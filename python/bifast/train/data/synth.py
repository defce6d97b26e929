"""Words spoken by espeak-ng, flite and piper, to widen the training set; made on demand into a cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bifast import audio
from bifast.errors import FormatError, UnsupportedError
from bifast.extras import extra
from bifast.train.data.cache import write_beside
from bifast.train.data.clip import RATE

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
VARIANTS = ("m1", "m2", "m4", "m5", "m6", "m7", "f1", "f2", "f4", "f5", "Andy", "Annie", "Linda")
FLITE_VOICES = ("kal16", "kal", "awb")
# Held out, so that there are synthetic voices to test with that no net has heard: the accent
# en-gb-x-rp and the variants f3 and m3 of espeak-ng, the voices slt and rms of flite.


# Share of the voices that are piper's, where voice files are given.
_PIPER_SHARE = 0.4
# Words per minute at which flite and piper speak unstretched.
_USUAL_SPEED = 150


class SynthesisError(UnsupportedError):
    """A speech program is missing or failed: says which, at what, and what to do."""


@dataclass(frozen=True)
class Voice:
    """One way of speaking.

    Attributes
    ----------
    program, voice
        `espeak-ng`, `flite` or `piper`; the name of the voice, or its file (piper).
    speed, pitch
        Words per minute; 0 .. 99 (espeak-ng only).
    speaker
        Number of the speaker in a voice that has several (piper only).
    """

    program: str
    voice: str
    speed: int
    pitch: int
    speaker: int = 0


@dataclass(frozen=True)
class PiperVoice:
    """A voice file of piper and how many speakers it has."""

    path: str
    speakers: int

    @classmethod
    def read(cls, path: str) -> PiperVoice:
        """Look at a voice file and the `.json` beside it; `SynthesisError` if one is missing."""
        try:
            if not Path(path).is_file():
                raise FileNotFoundError("no such file")
            facts = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
            return cls(path, max(1, int(facts.get("num_speakers", 1))))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise SynthesisError(
                f"data.piper_voices: {path}: expected a voice, NAME.onnx with NAME.onnx.json: {error}"
            ) from None


def voices(word: str, count: int, seed: int, piper: tuple[PiperVoice, ...] = ()) -> list[Voice]:
    """Draw `count` voices for a word; the same word, seed and voice files give the same voices."""
    digest = hashlib.sha256(f"{word}:{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    drawn = []
    for _ in range(count):
        speed, pitch = int(rng.integers(110, 200)), int(rng.integers(20, 80))
        if piper and rng.random() < _PIPER_SHARE:
            chosen = piper[rng.integers(len(piper))]
            speaker = int(rng.integers(chosen.speakers))
            drawn.append(Voice("piper", chosen.path, speed, 50, speaker))
        elif rng.random() < 0.3:
            drawn.append(Voice("flite", str(rng.choice(FLITE_VOICES)), speed, 50))
        else:
            voice = f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}"
            drawn.append(Voice("espeak-ng", voice, speed, pitch))
    return drawn


def piper_program() -> list[str]:
    """Return how piper is started: its program, else its Python module; `SynthesisError` without."""
    if shutil.which("piper"):
        return ["piper"]
    if find_spec("piper") is not None:
        return [sys.executable, "-m", "piper"]
    raise SynthesisError(
        "data.piper_voices needs piper: pip install piper-tts, or leave the voices out"
    )


def command(word: str, voice: Voice, out: Path) -> tuple[list[str], str]:
    """Return the command that speaks a word into a WAV file, and what it reads from its input."""
    stretch = f"{_USUAL_SPEED / voice.speed:.2f}"
    if voice.program == "piper":
        options = ["--model", voice.voice, "--output_file", str(out)]
        options += ["--length_scale", stretch, "--speaker", str(voice.speaker)]
        return piper_program() + options, word
    if voice.program == "flite":
        options = ["-voice", voice.voice, "--setf", f"duration_stretch={stretch}"]
        return ["flite", *options, "-t", word, "-o", str(out)], ""
    options = ["-v", voice.voice, "-s", str(voice.speed), "-p", str(voice.pitch)]
    return ["espeak-ng", *options, "-w", str(out), "--", word], ""


def speak(word: str, voice: Voice) -> NDArray[np.float32]:
    """Run the speech program; returns mono float32 at 16 kHz without silence at the ends.

    Raises
    ------
    SynthesisError
        If it fails, takes longer than a minute, or says nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        line, text = command(word, voice, path)
        try:
            subprocess.run(line, input=text, text=True, capture_output=True, check=True, timeout=60)
            wave = audio.load(path, RATE)
        except subprocess.CalledProcessError as error:
            raise SynthesisError(
                f"{line[0]} failed at {word!r}, exit code {error.returncode}: {error.stderr.strip()}"
            ) from None
        except (subprocess.TimeoutExpired, OSError, FormatError) as error:
            raise SynthesisError(f"{line[0]} failed at {word!r}: {error}") from None
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    if not loud.size:
        raise SynthesisError(f"{line[0]} with voice {voice.voice} says nothing at {word!r}")
    return wave[loud[0] : loud[-1] + 1]


class Synthesizer:
    """Spoken words in a cache file, placed at a random time in one second.

    Parameters
    ----------
    cache
        Folder for the sound; one Opus file of some 3 KB for each spoken word. Words that are there
        need no program, so a cache that was filled elsewhere can be brought along.
    seed
        Chooses voices, level and placement.
    piper_voices
        Voice files of piper, which is used if there are any.

    Raises
    ------
    SynthesisError
        If a voice file is missing.
    """

    def __init__(self, cache: Path, seed: int, piper_voices: tuple[str, ...] = ()) -> None:
        self.cache = cache
        self.seed = seed
        self.piper = tuple(PiperVoice.read(path) for path in piper_voices)
        cache.mkdir(parents=True, exist_ok=True)

    def wave(self, key: str) -> NDArray[np.float32]:
        """Return the second of sound for `WORD:COUNT:INDEX`: the INDEX-th of COUNT voices.

        Raises
        ------
        SynthesisError
            If the word is not in the cache, and a program is missing or fails.
        """
        word, count, index = key.rsplit(":", 2)
        named = f"{key}:{self.seed}" + (f":{self.piper}" if self.piper else "")
        name = hashlib.sha256(named.encode()).hexdigest()[:24]
        path = self.cache / f"{name}.opus"
        spoken = _read(path)
        if spoken is None:
            _check_programs(self.piper)
            voice = voices(word, int(count), self.seed, self.piper)[int(index)]
            write_beside(path, lambda beside: _write(beside, speak(word, voice)))
            # From the file at once, so that the first run hears what later ones do.
            spoken = audio.load(path, RATE)
        rng = np.random.default_rng(int(name[:12], 16))
        out = np.zeros(RATE, np.float32)
        spoken = spoken[:RATE]
        start = rng.integers(RATE - spoken.size + 1)
        level = 10 ** (rng.uniform(-20, -3) / 20) / max(float(np.abs(spoken).max()), 1e-6)
        out[start : start + spoken.size] = spoken * level
        # A whisper of noise: without it the pauses would be digital silence, unlike any recording.
        return out + rng.normal(0, 10 ** rng.uniform(-4.5, -3), RATE).astype(np.float32)


def _check_programs(piper: tuple[PiperVoice, ...]) -> None:
    missing = [p for p in ("espeak-ng", "flite") if shutil.which(p) is None]
    if missing:
        raise SynthesisError(
            f"synthetic words need {' and '.join(missing)}: install, or set data.synthetic=0"
        )
    if piper:
        piper_program()


def _read(path: Path) -> NDArray[np.float32] | None:
    """Return the sound of a cache file; None if it is missing or damaged."""
    try:
        return audio.load(path, RATE)
    except (FileNotFoundError, FormatError):
        return None


def _write(path: Path, wave: NDArray[np.float32]) -> None:
    soundfile = extra("soundfile", "synthetic words are kept as Opus")
    soundfile.write(path, wave, RATE, format="OGG", subtype="OPUS")
