"""Fixtures and the Hypothesis profile that tests share."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

import bifast

Array = npt.NDArray[Any]
SOUNDS = sorted((Path(bifast.__file__).parent / "sounds").glob("*.wav"))

# Engine calls vary with what a mutated file asks for, up to the format's work limit: no deadline.
settings.register_profile(
    "bifast",
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("BIFAST_FUZZ_EXAMPLES", "300")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bifast")


@pytest.fixture(params=bifast.isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set that this CPU runs."""
    return str(request.param)


def read_wav(path: Path) -> Array:
    """Mono 16-bit samples of a WAV file."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples[:: file.getnchannels()].astype(np.int16)


@pytest.fixture(params=SOUNDS, ids=[path.stem for path in SOUNDS])
def shipped_sound(request: pytest.FixtureRequest) -> Array:
    """Each sound in the package, int16."""
    return read_wav(request.param)


@pytest.fixture(scope="session")
def real_speech() -> list[Array]:
    """Twenty recordings of people, int16 at 16 kHz, where the data set is on this machine."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BIFAST_DATA", default))
    if not (folder / "sc_test.flac.bin").is_file():
        pytest.skip(f"no recordings in {folder}; set BIFAST_DATA to their folder")
    soundfile = pytest.importorskip("soundfile")
    return read_clips(folder, soundfile)


def read_clips(folder: Path, soundfile: Any) -> list[Array]:
    """Decode the clips that index.csv lists for sc_test.flac.bin, one in 170."""
    import csv
    import io

    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"] == "sc_test.flac.bin"]
    clips = []
    with (folder / "sc_test.flac.bin").open("rb") as file:
        for row in rows[::170]:
            file.seek(int(row["offset"]))
            samples, rate = soundfile.read(io.BytesIO(file.read(int(row["length"]))), dtype="int16")
            if rate == 16000:
                clips.append(samples)
    return clips
