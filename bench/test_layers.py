"""Each kind of layer of the shipped model, on each instruction set, weights in the cache."""

from __future__ import annotations

import conftest
import numpy as np
import one_layer
import pytest

from bifast import _core
from bifast.format import ModelFile

TIMES = 32
LAYERS = one_layer.distinct_layers(ModelFile.from_bytes(conftest.shipped_model()))


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("layer", LAYERS, ids=[layer.op.name for layer in LAYERS])
def test_layer(benchmark, layer, isa):
    features = np.random.default_rng(0).normal(size=layer.input.shape).astype(np.float32)
    _, expected = _core.Model(one_layer.repeated(layer, 1), "scalar").trace(features, 0)
    _, got = _core.Model(one_layer.repeated(layer, 1), isa).trace(features, 0)
    for (name, _, wanted), (_, _, array) in zip(expected, got, strict=True):
        assert np.array_equal(wanted, array), f"{name}: {isa} differs from scalar"

    model = _core.Model(one_layer.repeated(layer, TIMES), isa)
    benchmark.group = f"layer {layer.op.name}"
    benchmark.extra_info.update(who=isa, title=layer.title, calls=TIMES, macs=layer.macs)
    benchmark(model.run_features, features[None], 0, 1)
