"""ONNX export of nets in PyTorch: full precision, 1-bit, and what only PyTorch can trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package, reason="the extra `onnx` is not installed")

from test_train_export import LABELS, random_net

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER
from bifast.train.export import onnx as exporter
from bifast.train.export.builder import Builder
from bifast.train.export.model import export_model
from bifast.train.export.onnx import export_onnx, run_onnx
from bifast.train.export.parity import ParityError, random_features
from bifast.train.nets import KeywordNet, NetSpec

torch.set_num_threads(1)


def in_pytorch(net: KeywordNet, depth: int) -> np.ndarray:
    with torch.no_grad():
        scores: np.ndarray = net(torch.from_numpy(random_features(net)), depth).numpy()
    return scores


@pytest.mark.parametrize("name", ["bifsmn", "bifsmn-teacher"])
def test_full_precision_graph_equals_pytorch(name: str, tmp_path: Path) -> None:
    net = random_net(NetSpec(name=name, binarizer="full"))
    path = tmp_path / "net.onnx"
    assert export_onnx(net, path, depth=1) == "from its operations"
    got = run_onnx(path.read_bytes(), random_features(net))
    expected = in_pytorch(net, 1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_one_bit_graph_recognises_what_the_engine_does(tmp_path: Path) -> None:
    net = random_net(NetSpec())
    path = tmp_path / "net.onnx"
    assert "bits as in the engine" in export_onnx(net, path)
    model = bifast.Model.load(export_model(net, LABELS, FRONTEND_PAPER, {}).to_bytes())
    clips = random_features(net)
    got = run_onnx(path.read_bytes(), clips)
    assert np.array_equal(got.argmax(1), model.run_features(clips).argmax(1))


@pytest.mark.parametrize("binarizer", ["full", "bifsmn"])
@pytest.mark.parametrize("batch", [None, 1])
def test_net_without_wiring_is_traced(
    binarizer: str, batch: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwired(net: KeywordNet, builder: Builder) -> None:
        raise UnsupportedError("no wiring")

    net = random_net(NetSpec(binarizer=binarizer))
    monkeypatch.setattr(type(net), "wire", unwired)
    path = tmp_path / "net.onnx"
    assert export_onnx(net, path, depth=2, batch=batch) == "traced by PyTorch (no wiring)"
    got = run_onnx(path.read_bytes(), random_features(net))
    assert (got.argmax(1) == in_pytorch(net, 2).argmax(1)).mean() > 0.95


def test_wrong_graph_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_net(NetSpec(binarizer="full"))
    right = exporter.to_onnx
    monkeypatch.setattr(exporter, "to_onnx", lambda b, depth, batch: right(b, 3, batch=batch))
    with pytest.raises(ParityError, match="of 64 clips are not PyTorch's"):
        export_onnx(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
