"""What a call from Python costs: the smallest of models, so next to nothing is computed."""

from __future__ import annotations

import numpy as np
import pytest

import bifast
from bifast import _core
from bifast.format import Buffer, ModelFile, Op

SIZE = (1, 1, 16)
BUFFERS = (Buffer("f32", *SIZE), Buffer("f32", *SIZE))
OPS = (Op("mean", "average_pool", 1, 0, out_f32=1),)
LABELS = tuple(f"c{i}" for i in range(SIZE[2]))
SMALLEST = ModelFile(None, LABELS, ("full",), BUFFERS, (), OPS, {}).to_bytes()


@pytest.mark.benchmark(group="call")
def test_extension(benchmark):
    model, features = _core.Model(SMALLEST), np.ones((1, *SIZE), np.float32)
    assert np.array_equal(model.run_features(features, 0, 1), features.reshape(1, -1))
    benchmark.extra_info.update(who="of the extension")
    benchmark(model.run_features, features, 0, 1)


@pytest.mark.benchmark(group="call")
def test_model(benchmark):
    model, features = bifast.Model(SMALLEST), np.ones(SIZE, np.float32)
    assert np.array_equal(model.run_features(features).ravel(), features.ravel())
    benchmark.extra_info.update(who="of `Model.run_features`")
    benchmark(model.run_features, features)
