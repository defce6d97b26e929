"""The benchmarks' own parts: textbook products, graphs in other runtimes, goals, traces."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `bench` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `bench` is not installed")
pytest.importorskip("pytest_benchmark", reason="the extra `bench` is not installed")
pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import mca
from goals import goal_table
from peers import OnnxNet
from rows import Row, Rows, against

import bifast
from bifast.float_twin import float_twin
from bifast.format import ModelFile
from bifast.onnx_graph import to_onnx

MODEL = bifast.Model.load(bifast.DEFAULT_MODEL)
FILE = ModelFile.from_bytes(MODEL.to_bytes())
CLIPS = np.random.default_rng(0).normal(size=(4, *MODEL.input_shape[:2])).astype(np.float32)


@pytest.fixture(scope="module")
def graph() -> bytes:
    return to_onnx(float_twin(FILE), len(FILE.depths) - 1, batch=1)


def row(group: str, who: str, median: float, macs: int = 0) -> Row:
    return Row(group, who, "", macs, 0, median, 0.9 * median, 1.1 * median, 30)


def test_float_twin_has_the_layers_of_the_net_and_no_bits() -> None:
    twin = float_twin(FILE)
    assert {buffer.type for buffer in twin.buffers} == {"f32"}
    assert [op.name for op in twin.ops] == [op.name for op in FILE.ops]
    assert not any(op.code.startswith("binary") for op in twin.ops)


def test_litert_runs_the_graph_as_onnxruntime_does(graph: bytes) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    from litert_net import LiteRtNet, Writer

    net, wanted = LiteRtNet(Writer(graph).write()), OnnxNet(graph, len(FILE.labels))
    for clip in CLIPS:
        np.testing.assert_allclose(net(clip), wanted(clip), rtol=1e-3, atol=1e-3)


def test_torch_runs_the_graph_as_onnxruntime_does(graph: bytes) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from torch_net import TorchNet

    net, wanted = TorchNet(graph, CLIPS.shape[1:]), OnnxNet(graph, len(FILE.labels))
    np.testing.assert_allclose(net(CLIPS[0]), wanted(CLIPS[0]), rtol=1e-3, atol=1e-3)


def test_int8_graph_is_smaller_and_close(graph: bytes) -> None:
    from quantise import folded_and_int8

    exact, small = folded_and_int8(graph, CLIPS)
    assert len(small) < 0.5 * len(exact)
    nets = [OnnxNet(g, len(FILE.labels)) for g in (exact, small)]
    a, b = (np.concatenate([net(clip).copy() for clip in CLIPS]) for net in nets)
    assert np.corrcoef(a, b)[0, 1] > 0.95


def test_rows_come_from_the_least_disturbed_pass() -> None:
    rows = Rows([[row("g", "a", 3.0)], [row("g", "a", 2.0), row("g", "b", 1.0)]])
    ours, peer = rows.get("g", "a"), rows.get("g", "b")
    assert ours is not None
    assert peer is not None
    assert ours.median == 2.0
    assert against(ours, peer) == "0.5 (0.4-0.6), **slower**"


def test_goal_table_says_what_is_met_missed_and_not_measured() -> None:
    best = f"bifast {bifast.isas()[0]}"
    group = f"net {bifast.DEFAULT_MODEL}"
    rows = Rows(
        [
            [row(f"{group} full", best, 10.0), row(f"{group} full", "onnxruntime FP32", 230.0)],
            [row(f"{group} half", best, 10.0), row(f"{group} half", "onnxruntime FP32", 50.0)],
        ]
    )
    lines = {line.split(" | ")[0].strip("| "): line for line in goal_table(rows, {}).splitlines()}
    full = next(line for what, line in lines.items() if what.startswith("net, features to logits"))
    assert full.endswith("| 23 x (18.8-28.1) | yes |")
    assert lines["the same at half depth"].endswith("| 5 x (4.1-6.1) | **no** |")
    assert "not measured" in lines["the same at eighth depth"]
    assert "not counted" in lines["the same, llvm-mca cortex-a53"]


def test_trace_keeps_the_engines_code_between_the_marks(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text(
        "b 1 1000 aa bb\nb 2 9000 cc\nmark\n1\n2\n1\nmark\nmark\nmark\nb 3 1008 dd\n3\nmark\nmark\n"
    )
    assert mca.read_trace(trace, range(0x1000, 0x2000)) == [["aa", "bb", "aa", "bb"], ["dd"]]


def test_goals_know_the_faster_peer() -> None:
    from goals import Reached, ratio

    reached = ratio(row("g", "us", 1.0), [row("g", "slow", 9.0), None, row("g", "fast", 4.0)])
    assert isinstance(reached, Reached)
    assert reached.value == 4.0
