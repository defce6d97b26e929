"""Export: the engine computes what PyTorch evaluates, and what can not be run is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER, ModelFile
from bifast.train.export.model import export_model, float_bytes
from bifast.train.export.parity import TOLERANCE, ParityError, check_parity
from bifast.train.export.tables import Affine, threshold_table
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.nets.norm import DepthNorm
from bifast.train.recipe import Recipe

torch.set_num_threads(1)
LABELS = tuple("abcdefghij")
Scores = NDArray[np.float32]


def random_net(spec: NetSpec) -> KeywordNet:
    """A net with random weights, random affine parameters of both signs and real statistics."""
    torch.manual_seed(0)
    net = NETS[spec.name](spec, 32, 32, len(LABELS))
    net.train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, DepthNorm):
                for weight, bias in zip(module.weight, module.bias, strict=True):
                    weight.normal_()
                    bias.normal_()
        for _ in range(5):
            stream = net.features(features())
            for depth in range(len(net.depths)):
                net.backbone(stream, depth)
    return net


def features(count: int = 32) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(1).normal(-40, 15, (count, 32, 32)).astype(np.float32)
    )


@pytest.fixture(scope="module", params=["layer", "channel"])
def exported(request: pytest.FixtureRequest) -> tuple[KeywordNet, ModelFile]:
    net = random_net(NetSpec(slopes=request.param))
    return net, export_model(net, LABELS, FRONTEND_PAPER, {"name": "random"})


def both_scores(net: KeywordNet, file: ModelFile, isa: str) -> Iterator[tuple[Scores, Scores]]:
    """Yield the engine's scores of some features and PyTorch's, depth by depth."""
    model = bifast.Model.load(file.to_bytes(), isa=isa)
    x = features()
    for depth, name in enumerate(net.depths):
        with torch.no_grad():
            expected = net(x, depth).numpy()
        yield model.run_features(x.numpy(), depth=name), expected


def test_engine_scores_equal_pytorch(exported: tuple[KeywordNet, ModelFile], isa: str) -> None:
    for got, expected in both_scores(*exported, isa):
        # The first layer's sum has another order in PyTorch; all else is exact but the last sum.
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_engine_layers_equal_pytorch_bit_for_bit(
    exported: tuple[KeywordNet, ModelFile],
) -> None:
    net, file = exported
    x = features(1)
    _, trace = bifast.Model.load(file.to_bytes()).trace(x[0].numpy()[..., None], depth="half")
    seen = {name: array for name, is_bits, array in trace if not is_bits}
    with torch.no_grad():
        stream = net.features(x)
        assert np.array_equal(stream[0].numpy(), seen["fc1"][:, 0])
        _, outputs = net.backbone(stream, 1)
    for block, out in outputs.items():
        assert np.array_equal(out[0].numpy(), seen[f"block{block}.project"][:, 0])


def test_depths_share_weights_and_file_is_small(exported: tuple[KeywordNet, ModelFile]) -> None:
    net, file = exported
    projects = [op for op in file.ops if op.name == "block7.project"]
    assert [op.depth_mask for op in projects] == [1, 2, 4, 8]
    assert len({op.weights for op in projects}) == 1
    assert len({op.scale for op in projects}) == 4
    assert float_bytes(Recipe("x"), net) / len(file.to_bytes()) >= 15.5


def test_full_precision_twin_is_refused_by_name() -> None:
    net = NETS["bifsmn"](NetSpec(binarizer="full"), 32, 32, len(LABELS))
    with pytest.raises(UnsupportedError, match=r"layer stem\.conv2.*"):
        export_model(net, LABELS, FRONTEND_PAPER, {})


def test_negative_slope_before_a_threshold_is_refused_by_name() -> None:
    net = NETS["bifsmn"](NetSpec(), 32, 32, len(LABELS))
    with torch.no_grad():
        net.blocks[2].expand.act.slope[0].fill_(-0.5)
    with pytest.raises(UnsupportedError, match=r"block2\.expand: slopes must be positive"):
        export_model(net, LABELS, FRONTEND_PAPER, {})


@pytest.mark.parametrize("taps", [1, 5, 128, 400])
def test_threshold_equals_the_float_expression_on_every_sum(taps: int) -> None:
    rng = np.random.default_rng(taps)
    scale = rng.normal(size=64).astype(np.float32)
    scale[:4] = [0.0, -0.0, 1e-30, -1e-30]
    shift = (rng.normal(size=64) * taps).astype(np.float32)
    shift[4:6] = [1e9, -1e9]
    slope = rng.uniform(0.02, 2, 64).astype(np.float32)
    affine = Affine(scale.tobytes(), shift.tobytes(), slope.tobytes())
    thresholds, flips = threshold_table(affine, taps, "layer")
    assert (thresholds >= -taps).all()
    assert (thresholds <= taps + 1).all()
    for total in range(-taps, taps + 1):
        bits = (total >= thresholds) ^ flips.astype(bool)
        assert np.array_equal(bits, affine.bits(np.full(64, total))), total


def test_card_and_checkpoint_round_trip(tmp_path: Path) -> None:
    from bifast.train.checkpoint import save_checkpoint
    from bifast.train.export.command import export_checkpoint
    from bifast.train.watch import Watcher

    recipe = Recipe("tiny")
    net = random_net(NetSpec())
    state = {
        "recipe": dataclasses.asdict(recipe),
        "labels": list(LABELS),
        "epoch": 3,
        "history": [],
        "finished": True,
        "model": net.state_dict(),
    }
    save_checkpoint(tmp_path / "final.pt", state)
    file, twin = export_checkpoint(tmp_path, name="mine", data=None, watcher=Watcher())
    assert file.card["name"] == "mine"
    assert file.card["float_bytes"] == twin
    assert ModelFile.from_bytes(file.to_bytes()).labels == LABELS


def test_parity_holds_on_an_export_and_finds_a_fault(
    exported: tuple[KeywordNet, ModelFile],
) -> None:
    net, file = exported
    clips = features().numpy()
    parity = check_parity(net, bifast.Model.load(file.to_bytes()), clips)
    assert (parity.clips, parity.moved) == (len(clips), 0)
    assert parity.close < TOLERANCE
    project = next(op for op in file.ops if op.name == "block7.project")
    weights = file.tensors[project.weights].array.copy()
    weights[0] ^= 1  # one output channel upside down
    tensors = list(file.tensors)
    tensors[project.weights] = dataclasses.replace(tensors[project.weights], array=weights)
    faulty = dataclasses.replace(file, tensors=tensors)
    with pytest.raises(ParityError, match="no bit of the first"):
        check_parity(net, bifast.Model.load(faulty.to_bytes()), clips)
