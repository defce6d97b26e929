"""The net alone and the whole clip of each shipped model at each depth, against its float twin elsewhere.

Nothing is timed before its result is checked: the binary graph of the same translation against the
engine, the twin in each runtime against the twin in onnxruntime without its optimisations.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import conftest
import numpy as np
import peers
import pytest
from quantise import folded_and_int8
from rows import SPOTTERS

import bifast
from bifast import _core, shipped
from bifast.float_twin import float_twin
from bifast.onnx_graph import to_onnx

Array = np.ndarray[Any, np.dtype[Any]]
CASES = [(name, depth) for name in SPOTTERS for depth in conftest.shipped_file(name).depths]
# What runs the float twin, and the module that it needs.
RUNTIMES = {
    "onnxruntime FP32": "onnxruntime",
    "onnxruntime int8": "onnxruntime",
    "LiteRT FP32": "ai_edge_litert",
    "LiteRT int8": "ai_edge_quantizer",
    "PyTorch FP32": "torch",
}
# Rounded to 8 bits, a net's logits stay this close to its own.
INT8_CORRELATION = 0.95

pytestmark = pytest.mark.parametrize(
    ("name", "depth"), CASES, ids=map("-".join, CASES), scope="session"
)


@cache
def clip_of(name: str) -> Array:
    return conftest.one_clip(shipped.sounds()[0], conftest.shipped_file(name))


@cache
def features_of(name: str) -> Array:
    return bifast.Model.load(name).features(clip_of(name))


@cache
def twin_graph(name: str, depth: str) -> bytes:
    """The float twin, once the binary graph of the same translation agrees with the engine."""
    file, features = conftest.shipped_file(name), features_of(name)
    index = file.depths.index(depth)
    binary = peers.OnnxNet(to_onnx(file, index, batch=1), len(file.labels))
    engine = bifast.Model.load(name).run_features(features, depth=depth)
    # The graph's float sums run in another order than the engine's.
    np.testing.assert_allclose(binary(features), engine.reshape(-1), rtol=1e-3, atol=1e-2)
    return to_onnx(float_twin(file), index, batch=1)


@cache
def runtime(name: str, depth: str, who: str) -> Any:
    """The twin in another engine, checked; a call from features to logits."""
    graph, clips = twin_graph(name, depth), conftest.calibration(name)
    classes = len(conftest.shipped_file(name).labels)
    net: Any
    match who:
        case "onnxruntime FP32":
            net = peers.OnnxNet(graph, classes)
        case "onnxruntime int8":
            net = peers.OnnxNet(folded_and_int8(graph, clips)[1], classes)
        case "PyTorch FP32":
            from torch_net import TorchNet

            net = TorchNet(graph, clips.shape[1:])
        case _:
            from litert_net import LiteRtNet, Writer, in_int8

            model = Writer(graph).write()
            net = LiteRtNet(in_int8(model, clips) if who.endswith("int8") else model)
    plain = peers.OnnxNet(graph, classes, optimise=False)
    for features in clips[:8]:
        wanted, got = plain(features), np.array(net(features))
        if who.endswith("int8"):
            assert np.corrcoef(wanted, got)[0, 1] > INT8_CORRELATION
        else:
            np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)
    return net


def row(benchmark: Any, what: str, name: str, depth: str, who: str) -> None:
    benchmark.group = f"{what} {name} {depth}"
    benchmark.extra_info.update(who=who)


@pytest.mark.parametrize("isa", _core.isas())
def test_net_bifast(benchmark, name, depth, isa):
    features = features_of(name)
    model = bifast.Model.load(name, isa=isa)
    wanted = bifast.Model.load(name, isa="scalar").run_features(features, depth=depth)
    assert np.array_equal(model.run_features(features, depth=depth), wanted)
    row(benchmark, "net", name, depth, f"bifast {isa}")
    benchmark(model.run_features, features, depth=depth)


@pytest.mark.parametrize("who", RUNTIMES)
def test_net_peer(benchmark, name, depth, who):
    if importlib.util.find_spec(RUNTIMES[who]) is None:
        pytest.skip(f"{RUNTIMES[who]} is not installed")
    if name != bifast.DEFAULT_MODEL and who != "onnxruntime FP32":
        pytest.skip("all peers run the default model, others meet onnxruntime FP32")
    net = runtime(name, depth, who)
    row(benchmark, "net", name, depth, who)
    benchmark(net, features_of(name))


@pytest.mark.parametrize("isa", _core.isas())
def test_clip_bifast(benchmark, name, depth, isa):
    model = bifast.Model.load(name, isa=isa)
    wanted = model.run_features(features_of(name), depth=depth)
    assert np.array_equal(model.run(clip_of(name), depth=depth), wanted)
    row(benchmark, "clip", name, depth, f"bifast {isa}")
    benchmark(model.run, clip_of(name), depth=depth)


@pytest.mark.parametrize("log_mel", ["NumPy", "PyTorch"])
def test_clip_peer(benchmark, name, depth, log_mel):
    if log_mel == "PyTorch":
        pytest.importorskip("torch")
    make = {"NumPy": peers.NumpyLogMel, "PyTorch": peers.TorchLogMel}[log_mel]
    front_end = make(conftest.shipped_file(name).frontend)
    assert np.abs(front_end(clip_of(name)) - features_of(name)).max() < 1e-3
    net = runtime(name, depth, "onnxruntime FP32")
    row(benchmark, "clip", name, depth, f"{log_mel} log-mel + onnxruntime FP32")
    benchmark(lambda: net(front_end(clip_of(name))))
