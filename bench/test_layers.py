"""Each kind of layer of the shipped models, on each instruction set, weights in the cache."""

from __future__ import annotations

import conftest
import numpy as np
import pytest
from rows import SPOTTERS

from bifast import _core, one_layer

TIMES = 32
LAYERS = [
    (name, layer)
    for name in SPOTTERS
    for layer in one_layer.distinct_layers(conftest.shipped_file(name))
]


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize(("name", "layer"), LAYERS, ids=[f"{n}-{x.op.name}" for n, x in LAYERS])
def test_layer(benchmark, name, layer, isa):
    features = np.random.default_rng(0).normal(size=layer.input.shape).astype(np.float32)
    _, expected = _core.Model(one_layer.repeated(layer, 1), "scalar").trace(features, 0)
    _, got = _core.Model(one_layer.repeated(layer, 1), isa).trace(features, 0)
    for (output, _, wanted), (_, _, array) in zip(expected, got, strict=True):
        assert np.array_equal(wanted, array), f"{output}: {isa} differs from scalar"

    model = _core.Model(one_layer.repeated(layer, TIMES), isa)
    benchmark.group = f"layer {name} {layer.op.name}"
    benchmark.extra_info.update(who=isa, title=layer.title, calls=TIMES, macs=layer.macs)
    if layer.op.code == "binary_conv2d":
        benchmark.extra_info.update(bytes=layer.bytes)
    benchmark(model.run_features, features[None], 0, 1)
