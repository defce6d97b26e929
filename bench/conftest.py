"""Shipped models, a shipped sound, and features."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bifast
from bifast import audio, shipped
from bifast.format import ModelFile

Array = np.ndarray[Any, np.dtype[np.float32]]
CALIBRATION_CLIPS = 128


def shipped_model(name: str = bifast.DEFAULT_MODEL) -> bytes:
    return files("bifast").joinpath("models", f"{name}.bifast").read_bytes()


@cache
def shipped_file(name: str = bifast.DEFAULT_MODEL) -> ModelFile:
    return ModelFile.from_bytes(shipped_model(name))


def one_clip(path: Path, file: ModelFile) -> Array:
    """As many samples of a sound as a model takes, zeros behind them."""
    assert file.frontend is not None
    padded = np.zeros(file.frontend.window_samples, np.float32)
    samples = audio.load(path, file.frontend.sample_rate)[: len(padded)]
    padded[: len(samples)] = samples
    return padded


@cache
def calibration(name: str) -> Array:
    """Features [N, time, mel] of recordings, or of the shipped sounds where there are none."""
    model, file = bifast.Model.load(name), shipped_file(name)
    if "BIFAST_DATA" not in os.environ:
        return np.stack([model.features(one_clip(path, file)) for path in shipped.sounds()])
    from rivals import training_features

    from bifast.train.data import TASKS, DataFolder, find_data

    folder = DataFolder(find_data(None))
    task = TASKS[str(model.card["task"])]
    found = training_features(task, folder, model.features, model.window)
    return found[:: max(1, len(found) // CALIBRATION_CLIPS)]


@pytest.fixture(scope="session")
def model_file() -> ModelFile:
    return shipped_file()


@pytest.fixture(scope="session")
def clip(model_file: ModelFile) -> Array:
    """One second of shipped speech, float32 in [-1, 1]."""
    return one_clip(shipped.sounds()[0], model_file)
