"""ONNX graphs: onnxruntime recognises what the engine and PyTorch do, on every clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

from byte_nets import byte_net
from image_nets import image_net
from model_factory import features_for, random_net
from two_planes import two_plane_net

import bifast
from bifast.cli import main
from bifast.float_twin import float_twin
from bifast.format import ModelFile
from bifast.onnx_graph import to_onnx

SHIPPED = bifast.Model.load("bifsmn")


def random_features(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(7).normal(-40, 15, (count, 32, 32)).astype(np.float32)


def run_graph(graph: bytes | str, clips: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """With every optimisation of onnxruntime, as a user runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    logits: np.ndarray[Any, Any] = session.run(["logits"], {"features": clips})[0]
    return logits


@pytest.mark.parametrize("name", bifast.models())
def test_every_shipped_model_and_its_float_twin_is_a_graph(name: str) -> None:
    model = bifast.Model.load(name)
    file = ModelFile.from_bytes(model.to_bytes())
    clips = np.concatenate([features_for(file, i)[None] for i in range(4)])
    given = clips[..., 0] if model.sample_rate else clips
    expected = model.run_features(clips)
    assert np.allclose(run_graph(to_onnx(file, 0), given), expected, rtol=1e-4, atol=1e-4)
    assert run_graph(to_onnx(float_twin(file), 0), given).shape == expected.shape


@pytest.mark.parametrize("depth", SHIPPED.depths)
def test_onnxruntime_recognises_what_the_engine_does(depth: str) -> None:
    file = ModelFile.from_bytes(SHIPPED.to_bytes())
    clips = random_features(500)
    got = run_graph(to_onnx(file, file.depths.index(depth)), clips)
    expected = SHIPPED.run_features(clips, depth=depth)
    assert np.array_equal(got.argmax(1), expected.argmax(1))
    # The first layer's float sum has another order: in a few clips a value next to zero moves a bit.
    apart = np.abs(got - expected).max(1) > 1e-4 * np.abs(expected).max()
    assert apart.mean() < 0.01


def test_onnxruntime_recognises_recordings_as_the_engine_does(real_speech: list[Any]) -> None:
    file = ModelFile.from_bytes(SHIPPED.to_bytes())
    clips = np.stack([SHIPPED.features(wave[: SHIPPED.window]) for wave in real_speech])
    got = run_graph(to_onnx(file, 0), clips)
    expected = SHIPPED.run_features(clips)
    assert np.array_equal(got.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("make", [random_net, two_plane_net, image_net, byte_net])
@pytest.mark.parametrize("seed", range(4))
def test_graph_of_every_kind_of_layer_gives_the_engines_logits(
    make: Callable[[int], ModelFile], seed: int
) -> None:
    file = make(seed)
    model = bifast.Model.load(file.to_bytes())
    clips = np.concatenate([features_for(file, i)[None] for i in range(40)])
    given = clips[..., 0] if model.input_shape[2] == 1 else clips
    for index, depth in enumerate(file.depths):
        got = run_graph(to_onnx(file, index), given)
        expected = model.run_features(clips, depth=depth)
        apart = np.abs(got - expected).max(1) > 1e-4 * np.abs(expected).max()
        # A bit of the first layer may move, as above.
        assert apart.mean() < 0.05


def test_graph_of_a_fixed_batch_takes_no_other() -> None:
    graph = to_onnx(ModelFile.from_bytes(SHIPPED.to_bytes()), 3, batch=1)
    assert run_graph(graph, random_features(1)).shape == (1, len(SHIPPED.labels))
    with pytest.raises(Exception, match="Got: 2 Expected: 1"):
        run_graph(graph, random_features(2))


def test_command_exports_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "half.onnx"
    assert main(["export", "bifsmn", "--onnx", str(path), "--depth", "half"]) == 0
    assert "yes, no, up, down" in capsys.readouterr().out
    clips = random_features(20)
    expected = SHIPPED.run_features(clips, depth="half")
    assert np.array_equal(run_graph(str(path), clips).argmax(1), expected.argmax(1))
    assert [p.name for p in tmp_path.iterdir()] == ["half.onnx"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["export", "bifsmn"], "give --out FILE.bifast, --onnx FILE.onnx"),
        (["export", "bifsmn", "--out", "x.bifast"], "is a model file already"),
        (["export", "bifsmn", "--onnx", "x.onnx", "--depth", "hal"], "did you mean 'half'"),
    ],
    ids=["nothing", "model to model", "depth"],
)
def test_wrong_use_is_explained(
    command: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not Path("x.onnx").exists()
