"""Float nets to compare with: their published sizes, what they refuse, how they train."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("soundfile", reason="the extra `train` is not installed")
pytest.importorskip("matplotlib", reason="the extra `train` is not installed")

from train_folder import make_folder

from bifast.errors import UnsupportedError
from bifast.train.build import build_net, load_net
from bifast.train.data import TASKS
from bifast.train.export.command import export_checkpoint
from bifast.train.loop import train
from bifast.train.nets.bcresnet import SUB_BANDS, SubSpectralNorm
from bifast.train.nets.dscnn import cosines
from bifast.train.optimizer import make_optimizer
from bifast.train.recipe import load_recipe
from bifast.train.watch import Watcher

RECIPES = ("sc11-bcresnet", "sc11-dscnn")
FRAMES = {"sc11-bcresnet": 101, "sc11-dscnn": 49}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("sc11-bcresnet", 9_232),  # 9.2 k in the paper
        # 24,908 in MLPerf Tiny, which counts 1,152 running statistics and 576 biases before batch norms.
        ("sc11-dscnn", 24_908 - 1_152 - 576),
    ],
)
def test_parameter_count_is_the_published_one(recipe: str, parameters: int) -> None:
    net = build_net(load_recipe(recipe, []), 12)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("name", RECIPES)
def test_logits_have_the_shape_of_the_classes(name: str) -> None:
    net = build_net(load_recipe(name, []), 11).eval()
    assert (net.frames, net.mels, net.depths) == (FRAMES[name], 40, ("full",))
    x = torch.randn(3, net.frames, net.mels)
    logits = net(x)
    assert logits.shape == (3, 11)
    # Clips of a batch do not see each other.
    torch.testing.assert_close(net(x[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)


def test_sub_spectral_norm_normalises_each_group_of_bands() -> None:
    x = torch.randn(8, 3, 2 * SUB_BANDS, 6) * torch.arange(1, 2 * SUB_BANDS + 1)[:, None]
    y = SubSpectralNorm(3)(x).reshape(8, 3, SUB_BANDS, 2, 6)
    mean, deviation = y.mean((0, 3, 4)), y.std((0, 3, 4), correction=0)
    torch.testing.assert_close(mean, torch.zeros(3, SUB_BANDS), rtol=0, atol=1e-5)
    torch.testing.assert_close(deviation, torch.ones(3, SUB_BANDS), rtol=0, atol=1e-4)


def test_cosine_transform_is_orthonormal() -> None:
    table = cosines(40, 40).double()
    torch.testing.assert_close(table.T @ table, torch.eye(40).double(), rtol=0, atol=1e-6)
    assert torch.equal(cosines(40, 10), cosines(40, 40)[:, :10])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("net.binarizer=bifsmn", "set net.binarizer = 'full', got 'bifsmn'"),
        ("net.depths=4", "set net.depths = 1, got 4"),
        ("net.dropout=0.1", r"set net.dropout = 0\.0, got 0\.1"),
        ("frontend.n_mels=8", "bands, got 8; set frontend.n_mels"),
    ],
)
def test_what_a_peer_can_not_be_is_refused(name: str, setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_net(load_recipe(name, [setting]), 11)


def test_weight_decay_reaches_the_weights_of_a_peer() -> None:
    recipe = load_recipe("sc11-dscnn", ["optim.weight_decay=0.5"])
    groups = make_optimizer(build_net(recipe, 11), recipe.optim).param_groups
    decays = {p.dim() > 1: g["weight_decay"] for g in groups for p in g["params"]}
    assert decays == {True: 0.5, False: 0.0}


@pytest.mark.parametrize("name", RECIPES)
def test_peer_trains_and_is_not_exported(name: str, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", TASKS["sc11"].labels)
    recipe = load_recipe(name, ["optim.epochs=1", "optim.batch=22", "data.variants=1"])
    out = tmp_path / "run"
    train(recipe, data, out, tmp_path / "cache", resume=True, watcher=Watcher())
    net, found, _ = load_net(out)
    assert found == recipe
    assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())
    message = f"net {dataclasses.asdict(recipe)['net']['name']} is a float net to compare with"
    with pytest.raises(UnsupportedError, match=message):
        export_checkpoint(out, name=None, data=None, watcher=Watcher())
