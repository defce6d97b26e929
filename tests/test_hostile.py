"""Damaged and hostile model files: a typed error, or a model whose results are defined.

BIFAST_FUZZ_EXAMPLES sets the number of examples of each test (300; the long run takes 20000).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from byte_nets import byte_net
from hypothesis import given, note
from hypothesis import strategies as st
from image_nets import image_net
from model_factory import SMALL_FRONTEND, features_for, layer_model, random_net, tuned
from mutations import mutated
from reference import run
from two_planes import two_plane_net

import bifast
from bifast import FormatError, UnsupportedError, _core
from bifast.format import ModelFile
from bifast.format.op_checks import multiply_adds

Array = npt.NDArray[Any]

BASES = {
    "net": random_net(3, frontend=SMALL_FRONTEND),
    "tuned": tuned(random_net(3, frontend=SMALL_FRONTEND)),
    "conv2d": layer_model("conv2d", shape=(5, 4, 3), channels=4, kernel=(3, 2), pad=(1, 0)),
    "binary": layer_model(
        "binary_conv2d", shape=(5, 4, 9), channels=66, kernel=(2, 3), pad=(1, 2), stage="threshold"
    ),
    "memory": layer_model(
        "binary_memory", shape=(9, 1, 70), channels=70, kernel=(3, 1), pad=(2, 0)
    ),
    "planes": two_plane_net(2, frontend=SMALL_FRONTEND),
    "images": image_net(4, shape=(8, 4, 2)),
    "bytes": image_net(2, shape=(6, 5, 3), first="byte_conv2d"),
    "byte ends": byte_net(2, SMALL_FRONTEND),
    "max_pool": layer_model("max_pool", shape=(5, 4, 3), channels=3, kernel=(2, 3), pad=(1, 1)),
    "pool": layer_model("average_pool", shape=(3, 4, 5), channels=5, stage="slopes"),
}
BASE_BYTES = [model.to_bytes() for model in BASES.values()]

# Enough for any base; a mutated model may ask for 2^34.
MAX_WORK_TO_RUN = 1 << 22
# Loading does at most the work of a run; far above what was seen on a busy machine.
MAX_LOAD_SECONDS = 20.0


def read(data: bytes) -> ModelFile | Exception:
    try:
        return ModelFile.from_bytes(data)
    except (FormatError, UnsupportedError) as error:
        return error


def load(data: bytes, isa: str | None = None) -> _core.Model | Exception:
    start = time.perf_counter()
    try:
        return _core.Model(data, isa)
    except (FormatError, UnsupportedError) as error:
        return error
    finally:
        assert time.perf_counter() - start < MAX_LOAD_SECONDS


def assert_readers_agree(model: ModelFile | Exception, engine: _core.Model | Exception) -> None:
    """Both take the file, or both refuse it; the engine does not look into the card."""
    if isinstance(model, Exception) and str(model).startswith("META"):
        return
    note(f"Python: {model!r:.300}")
    note(f"engine: {engine!r:.300}")
    # Which error comes first where several rules are broken is not compared.
    assert isinstance(model, Exception) == isinstance(engine, Exception)


def assert_defined(model: ModelFile, data: bytes) -> None:
    """Every depth of every ISA gives what the oracle gives; sound gives the same on every ISA."""
    if sum(multiply_adds(op, model) for op in model.ops) > MAX_WORK_TO_RUN:
        return
    features = features_for(model)
    engines = [_core.Model(data, isa) for isa in bifast.isas()]
    for depth in range(len(model.depths)):
        expected = run(model, features, depth).logits
        for engine in engines:
            logits = engine.run_features(features[None], depth, 1)[0]
            np.testing.assert_array_equal(logits, expected)
    if model.frontend is not None:
        sound = np.random.default_rng(0).normal(0, 0.1, 600).astype(np.float32)
        sound = sound[: model.frontend.window_samples]
        results = [engine.run(sound[None], 0, 1) for engine in engines]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])


@given(data=st.sampled_from(BASE_BYTES).flatmap(lambda data: mutated(data, checksum=True)))
def test_mutated_file_is_refused_or_runs_as_the_oracle(data: bytes) -> None:
    model, engine = read(data), load(data)
    assert_readers_agree(model, engine)
    if isinstance(model, ModelFile):
        assert_defined(model, data)
        assert ModelFile.from_bytes(model.to_bytes()).to_bytes() == model.to_bytes()


@given(data=st.sampled_from(BASE_BYTES).flatmap(lambda data: mutated(data, checksum=False)))
def test_damage_without_a_new_checksum_is_refused_or_harmless(data: bytes) -> None:
    model, engine = read(data), load(data)
    assert_readers_agree(model, engine)
    if isinstance(model, ModelFile):
        assert data in BASE_BYTES


@given(data=st.binary(max_size=600))
def test_noise_is_refused(data: bytes) -> None:
    for candidate in (data, BASE_BYTES[0][:8] + data):
        assert isinstance(read(candidate), Exception)
        assert isinstance(load(candidate), Exception)


@pytest.mark.parametrize("base", BASES)
def test_every_truncation_is_refused(base: str) -> None:
    data = BASES[base].to_bytes()
    for size in range(0, len(data), 1 + len(data) // 500):
        assert isinstance(load(data[:size]), FormatError)
        assert isinstance(read(data[:size]), FormatError)


@pytest.mark.parametrize("base", BASES)
def test_base_itself_runs_as_the_oracle(base: str) -> None:
    assert_defined(BASES[base], BASES[base].to_bytes())
