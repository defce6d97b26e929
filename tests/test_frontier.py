"""The frontier's arithmetic, and one float net through onnxruntime."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("onnx", reason="the extra `bench` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `bench` is not installed")

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

from frontier import seeds
from frontier_page import Result, beaten, bytes_of, frontier, page, time_of
from frontier_picture import draw
from peers import OnnxNet
from rivals import Rival, constant_bytes, graphs

from bifast.format import FRONTEND_PAPER
from bifast.train.build import build_net
from bifast.train.recipe import load_recipe

pytest.importorskip("matplotlib", reason="the extra `train` is not installed")


def result(
    name: str, accuracy: float, size: int, microseconds: float, by: str = "bifast"
) -> Result:
    def nothing(x: Any) -> Any:
        return x

    rival = Rival(
        name, "full", by, "sc11", "by hand", FRONTEND_PAPER, size, size, nothing, nothing, nothing
    )
    return Result(rival, (accuracy,), dict.fromkeys(("features", "net", "clip"), microseconds))


OURS = result("ours", 0.94, 150_000, 100.0)
SMALL = result("small", 0.95, 30_000, 300.0, "onnxruntime FP32")
POOR = result("poor", 0.93, 40_000, 310.0, "onnxruntime int8")


def test_frontier_keeps_what_nothing_beats() -> None:
    results = [POOR, OURS, SMALL]
    assert frontier(results, time_of) == [OURS, SMALL]
    assert frontier(results, bytes_of) == [SMALL]
    twins = [OURS, result("twin", 0.94, 150_000, 100.0)]
    assert frontier(twins, time_of) == twins


def test_seeds_of_a_net_are_one_row_with_mean_and_spread() -> None:
    titles = [[rival.title for rival in group] for group in seeds([OURS.rival, SMALL.rival] * 2)]
    assert titles == [["ours full"] * 2, ["small FP32"] * 2]
    assert replace(OURS, accuracies=(0.93, 0.94, 0.95)).percent == "94.00 +- 1.00"
    assert OURS.percent == "94.00"


def test_page_says_where_we_lose(tmp_path: Path) -> None:
    results = [POOR, OURS, SMALL]
    assert beaten(results, time_of, "us") == "No model of bifast loses to a peer here."
    text = page(results, 2656, "frontier.png")
    assert "| ours full | bifast | 94.00 | 150000 | 150000 | 100.0 | 100.0 | 100.0 | 1.00 |" in text
    assert (
        "- `ours full` (94.00 %, 150000 bytes) loses to `small FP32`: 95.00 %, 30000 bytes, "
        "5.0 times less." in text
    )
    assert "accurate and faster than: `ours full` (94.00 %), `small FP32` (95.00 %)." in text
    assert (
        "- Our most accurate net, `ours full` (94.00 %), lies on the frontier in time and "
        "**not** on the frontier in bytes." in text
    )
    assert (
        "- `small FP32` (95.00 %): +1.00 points against our most accurate, "
        "3.0 times its time, 0.20 times its bytes." in text
    )


def test_depths_and_nets_behind_our_own_are_no_losses_to_peers() -> None:
    shallow = replace(OURS, rival=replace(OURS.rival, depth="half"), accuracies=(0.90,))
    slower = result("slower", 0.93, 150_000, 110.0)
    told = beaten([OURS, shallow, slower, SMALL], time_of, "us")
    assert told == (
        "No model of bifast loses to a peer here.\n\n"
        "Behind other nets of ours alone: `slower full` (93.00 %)."
    )
    assert beaten([OURS, shallow, SMALL], bytes_of, "bytes").count("loses to") == 1


def test_frontier_is_drawn(tmp_path: Path) -> None:
    results = [POOR, OURS, SMALL]
    draw(results, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("recipe", ["sc11-dscnn", "sc11-bcresnet"])
def test_graphs_of_a_peer_are_folded_and_quantised(recipe: str) -> None:
    torch.manual_seed(0)
    net = build_net(load_recipe(recipe, []), 11)
    features = np.random.default_rng(0).normal(-40, 15, (64, net.frames, net.mels))
    features = features.astype(np.float32)
    net.train()
    for _ in range(20):
        net(torch.from_numpy(features))  # running statistics
    net.eval()
    exact, small = graphs(net, 0, features)
    learned = sum(p.numel() for p in net.parameters())
    assert 0.8 < constant_bytes(exact) / (4 * learned) < 1.2
    # Half of the tables of bc-resnet-1 are batch norms of bands, which stay as they are.
    assert constant_bytes(small) < 0.7 * constant_bytes(exact)
    with torch.no_grad():
        expected = net(torch.from_numpy(features)).numpy()
    errors = []
    for graph in (exact, small):
        session = OnnxNet(graph, 11)
        got = np.stack([session(clip).copy() for clip in features])
        errors.append(np.abs(got - expected).max() / np.abs(expected).max())
    assert errors[0] < 1e-4
    assert 1e-4 < errors[1] < 0.3
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    from litert_net import LiteRtNet, Writer, in_int8

    model = Writer(exact).write()
    session = LiteRtNet(model)
    got = np.stack([session(clip).copy() for clip in features])
    assert np.abs(got - expected).max() / np.abs(expected).max() < 1e-4
    pytest.importorskip("ai_edge_quantizer", reason="AI Edge Quantizer is not installed")
    session = LiteRtNet(in_int8(model, features[:16]))
    # Decibels written into bytes would lose what the step and zero point say.
    assert session.interpreter.get_input_details()[0]["dtype"] is np.float32
    got = np.stack([session(clip).copy() for clip in features])
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.9
