"""The net alone and the whole clip at each depth, against onnxruntime FP32 of its float twin."""

from __future__ import annotations

import conftest
import numpy as np
import peers
import pytest
from float_twin import float_twin

import bifast
from bifast import _core
from bifast.format import ModelFile
from bifast.onnx_graph import to_onnx

DEPTHS = ModelFile.from_bytes(conftest.shipped_model()).depths


@pytest.fixture(scope="session", params=DEPTHS)
def depth(request):
    return request.param


@pytest.fixture(scope="session")
def twin(model_file, features, depth):
    """The float twin, once the binary graph of the same translation agrees with the engine."""
    index = model_file.depths.index(depth)
    classes = len(model_file.labels)
    binary = peers.OnnxNet(to_onnx(model_file, index, batch=1), classes)
    engine = bifast.Model.load(bifast.DEFAULT_MODEL).run_features(features, depth=depth)
    # The graph's float sums run in another order than the engine's.
    np.testing.assert_allclose(binary(features), engine.reshape(-1), rtol=1e-3, atol=1e-2)
    graph = to_onnx(float_twin(model_file), index, batch=1)
    fast = peers.OnnxNet(graph, classes)
    plain = peers.OnnxNet(graph, classes, optimise=False)
    np.testing.assert_allclose(fast(features), plain(features), rtol=1e-3, atol=1e-3)
    return fast


@pytest.mark.parametrize("isa", _core.isas())
def test_net_bifast(benchmark, features, depth, isa):
    model = bifast.Model.load(bifast.DEFAULT_MODEL, isa=isa)
    scalar = bifast.Model.load(bifast.DEFAULT_MODEL, isa="scalar")
    wanted = scalar.run_features(features, depth=depth)
    assert np.array_equal(model.run_features(features, depth=depth), wanted)
    benchmark.group = f"net {depth}"
    benchmark.extra_info.update(who=f"bifast {isa}")
    benchmark(model.run_features, features, depth=depth)


def test_net_onnxruntime(benchmark, features, depth, twin):
    benchmark.group = f"net {depth}"
    benchmark.extra_info.update(who="onnxruntime FP32")
    benchmark(twin, features)


@pytest.mark.parametrize("isa", _core.isas())
def test_clip_bifast(benchmark, clip, features, depth, isa):
    model = bifast.Model.load(bifast.DEFAULT_MODEL, isa=isa)
    wanted = model.run_features(features, depth=depth)
    assert np.array_equal(model.run(clip, depth=depth), wanted)
    benchmark.group = f"clip {depth}"
    benchmark.extra_info.update(who=f"bifast {isa}")
    benchmark(model.run, clip, depth=depth)


def test_clip_numpy_onnxruntime(benchmark, model_file, clip, features, depth, twin):
    log_mel = peers.NumpyLogMel(model_file.frontend)
    assert np.abs(log_mel(clip) - features).max() < 1e-3
    benchmark.group = f"clip {depth}"
    benchmark.extra_info.update(who="numpy log-mel + onnxruntime FP32")
    benchmark(lambda: twin(log_mel(clip)))
