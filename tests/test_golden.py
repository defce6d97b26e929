"""Golden files replayed by the engine on every ISA; tests/cpp/test_golden.cpp does it without Python."""

from __future__ import annotations

import zlib
from pathlib import Path

import golden_file
import numpy as np
import pytest
from reference import LayerOutput

from bifast import _core
from bifast.format import ModelFile

FILES = sorted((Path(__file__).parent / "golden").glob("*.bin"))


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def golden(request: pytest.FixtureRequest) -> golden_file.Golden:
    return golden_file.decode(request.param.read_bytes())


def test_golden_files_are_there_and_small() -> None:
    assert {path.stem for path in FILES} >= {"bifsmn", "small", "causal"}
    assert sum(path.stat().st_size for path in FILES) < 350_000


def test_engine_equals_golden_file(golden: golden_file.Golden, isa: str) -> None:
    engine = _core.Model(golden.model, isa)
    if golden.wave is not None:
        assert engine.features(golden.wave).tobytes() == golden.features.tobytes()
    features = golden.features.reshape(engine.input_shape)
    for depth, (expected, logits) in enumerate(golden.depths):
        got, layers = engine.trace(features, depth)
        assert got.tobytes() == logits.tobytes()
        outputs = [LayerOutput(*layer) for layer in layers]
        # A chunk without its stored data is the head alone.
        for output, payload in zip(outputs, expected, strict=True):
            stored = len(payload) > golden_file.LAYER.size
            assert golden_file.layer_chunk(output, store=stored)[8:] == payload, output.name
        if golden.wave is not None:
            assert engine.run(golden.wave[None], depth, 1)[0].tobytes() == logits.tobytes()


def test_oracle_still_equals_golden_file() -> None:
    for path in FILES:
        data = path.read_bytes()
        golden = golden_file.decode(data)
        model = ModelFile.from_bytes(golden.model)
        store = any(len(layer) > golden_file.LAYER.size for layer in golden.depths[0][0])
        features = golden.features.reshape(model.buffers[0].shape)
        again = golden_file.encode(model, golden.wave, features, store=store)
        assert zlib.crc32(again) == zlib.crc32(data), path.name


def test_golden_files_hold_no_nan_and_no_constant_logits() -> None:
    for path in FILES:
        golden = golden_file.decode(path.read_bytes())
        assert np.isfinite(golden.features).all()
        for _, logits in golden.depths:
            assert np.isfinite(logits).all()
        assert len({logits.tobytes() for _, logits in golden.depths}) == len(golden.depths)
