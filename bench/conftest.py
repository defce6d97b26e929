"""The shipped model, a shipped sound, and its features."""

from __future__ import annotations

import wave
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import bifast
from bifast.format import ModelFile

Array = np.ndarray[Any, np.dtype[np.float32]]


def shipped_model() -> bytes:
    return files("bifast").joinpath("models", f"{bifast.DEFAULT_MODEL}.bifast").read_bytes()


@pytest.fixture(scope="session")
def model_file() -> ModelFile:
    return ModelFile.from_bytes(shipped_model())


@pytest.fixture(scope="session")
def clip(model_file: ModelFile) -> Array:
    """One second of shipped speech, float32 in [-1, 1]."""
    assert model_file.frontend is not None
    sounds = sorted(files("bifast").joinpath("sounds").iterdir(), key=lambda path: path.name)
    with sounds[0].open("rb") as file, wave.open(file) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    padded = np.zeros(model_file.frontend.window_samples, np.float32)
    used = samples[: len(padded)]
    padded[: len(used)] = used / np.float32(32768)
    return padded


@pytest.fixture(scope="session")
def features(clip: Array) -> Array:
    return bifast.Model.load(bifast.DEFAULT_MODEL).features(clip)
