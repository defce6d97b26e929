"""What a call from Python costs over the C call: the smallest of models, so next to nothing is computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import c_call
import numpy as np
import pytest

import bifast
from bifast import _core
from bifast.format import Buffer, FrontendParams, ModelFile, Op

Array = np.ndarray[Any, np.dtype[Any]]
TIMES = 1000


def smallest(frontend: FrontendParams | None, channels: int) -> bytes:
    """One mean, of one position."""
    buffers = (Buffer("f32", 1, 1, channels), Buffer("f32", 1, 1, channels))
    ops = (Op("mean", "average_pool", 1, 0, out_f32=1),)
    labels = tuple(f"c{i}" for i in range(channels))
    return ModelFile(frontend, labels, ("full",), buffers, (), ops, {}).to_bytes()


# One frame of 16 samples, one band.
FRONTEND = FrontendParams(
    window_samples=16, n_fft=16, win_length=16, hop=16, n_mels=1, center=False
)
CASES = {
    "features": (smallest(None, 16), np.ones((1, 1, 16), np.float32)),
    "clip": (smallest(FRONTEND, 1), np.full(16, 0.5, np.float32)),
}


def calls(kind: str, who: str) -> tuple[Callable[..., Array], tuple[Any, ...], int]:
    """Return a function, its arguments, and how many calls it makes."""
    data, x = CASES[kind]
    model, clip = bifast.Model(data), kind == "clip"
    if who == "C":
        return c_call.repeated(data, x, len(model.labels), clip=clip, times=TIMES), (), TIMES
    if who == "extension":
        core = _core.Model(data)
        return (core.run_one if clip else core.run_features_one), (x, "full", 1), 1
    return (model.run if clip else model.run_features), (x,), 1


@pytest.mark.parametrize("who", ["C", "extension", "Model"])
@pytest.mark.parametrize("kind", CASES)
def test_call(benchmark, kind, who):
    if who == "C" and shutil.which("cmake") is None:
        pytest.skip("CMake builds the C library, and is not here")
    function, arguments, times = calls(kind, who)
    data, x = CASES[kind]
    wanted = bifast.Model(data, "scalar").run(x[np.newaxis])[0]
    assert np.array_equal(function(*arguments), wanted)
    benchmark.group = f"call {kind}"
    benchmark.extra_info.update(who=who, calls=times)
    benchmark(function, *arguments)
