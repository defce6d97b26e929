"""Nets for images: their counts, gradients, evaluation, and that the loop trains and resumes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("PIL", reason="the extra `images` is not installed")
pytest.importorskip("matplotlib", reason="the extra `train` is not installed")

from image_folder import make_tar

from bifast.cli import main
from bifast.model import Model
from bifast.train.checkpoint import load_checkpoint
from bifast.train.data import images
from bifast.train.loop import train
from bifast.train.losses import FEATURE_LOSSES, MapOptions
from bifast.train.nets import NETS, Net, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.nets.layers import ordered_conv2d
from bifast.train.nets.pool import AveragePool, MaxPool, Subsample
from bifast.train.recipe import load_recipe
from bifast.train.series.outcome import measure_run
from bifast.train.watch import Watcher

torch.set_num_threads(1)

SHAPES = {"resnet20": (32, 32, 3), "vgg-small": (16, 16, 3), "resnet18": (32, 32, 3)}


def build(name: str, binarizer: str = "bifsmn", classes: int = 10) -> Net:
    torch.manual_seed(0)
    spec = NetSpec(name=name, binarizer=binarizer, depths=1)
    net: Net = NETS[name](spec, *SHAPES[name], classes)
    return net


def batch(name: str, count: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.integers(0, 256, (count, *SHAPES[name])).astype(np.float32))


def test_counts_are_those_of_the_original_nets() -> None:
    """He et al. 2015, table 6: 0.27 M parameters; 40.55 M multiply-adds without shortcuts."""
    net = build("resnet20")
    table = net.layer_table()
    assert len(table) == 20
    assert sum(layer.macs(size) for _, layer, size, _ in table) == 40_551_040
    weights = sum(layer.weight.numel() for _, layer, _, _ in table)
    assert weights == 16 * 27 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864 + 640


def test_resnet18_has_the_multiply_adds_of_imagenet() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        net = NETS["resnet18"](NetSpec(name="resnet18", depths=1), 224, 224, 3, 1000)
    macs = {name: layer.macs(size) for name, layer, size, _ in net.layer_table()}
    assert sum(macs.values()) == 1_814_073_344  # torchvision's resnet18
    assert macs["stem"] == 118_013_952


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_reaches_every_parameter(name: str) -> None:
    net = build(name).train()
    net(batch(name)).square().mean().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("name", SHAPES)
def test_binary_layers_are_all_but_the_ends_and_shortcuts(name: str) -> None:
    real = [n for n, layer, _, _ in build(name).layer_table() if not layer.binarizer.binary]
    shortcuts = [f"unit{i}.shortcut" for i in (4, 8, 12)] if name == "resnet18" else []
    assert real == ["stem", *shortcuts, "classifier"]


@pytest.mark.parametrize("name", SHAPES)
def test_layer_table_knows_the_sizes(name: str) -> None:
    net = build(name).eval()
    seen: dict[int, tuple[int, ...]] = {}
    for module in net.modules():
        if isinstance(module, Layer):
            module.register_forward_hook(lambda m, x, y: seen.update({id(m): tuple(x[0].shape)}))
    with torch.no_grad():
        net(batch(name, 1))
    for row, layer, size, _ in net.layer_table()[:-1]:
        assert seen[id(layer)][1:3] == tuple(size), row


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), (7, 2, 3)])
def test_ordered_convolution_is_the_convolution(kernel: int, stride: int, pad: int) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(2, 11, 8, 5), torch.randn(6, kernel, kernel, 5)
    expected = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), stride=stride, padding=pad
    ).permute(0, 2, 3, 1)
    torch.testing.assert_close(ordered_conv2d(x, w, stride, pad), expected)


def test_pools_and_shortcut_a() -> None:
    x = torch.arange(2 * 4 * 6 * 3, dtype=torch.float32).reshape(2, 4, 6, 3)
    out = Subsample(3, 8, 2)(x)
    assert out.shape == (2, 2, 3, 8)
    torch.testing.assert_close(out[..., 2:5], x[:, ::2, ::2])
    assert not out[..., :2].any()
    assert not out[..., 5:].any()
    pool = AveragePool(3, ordered=True).eval()
    torch.testing.assert_close(pool(x), x.mean((1, 2)))
    largest = MaxPool(3, 2, 2).eval()(x)
    torch.testing.assert_close(largest, x[:, 1::2, 1::2])


def test_evaluation_folds_what_training_computes() -> None:
    """With the batch's own statistics both modes are the same function."""
    net = build("vgg-small", "full").train()
    images = batch("vgg-small", 64)
    for module in net.modules():
        if hasattr(module, "momentum"):
            module.momentum = None
    expected = net(images)
    torch.testing.assert_close(net.eval()(images), expected, rtol=2e-2, atol=2e-2)


def test_net_refuses_what_it_has_not() -> None:
    with pytest.raises(ValueError, match=r"net resnet20: set net.depths = 1, got 4"):
        NETS["resnet20"](NetSpec(name="resnet20"), 32, 32, 3, 10)
    with pytest.raises(ValueError, match="multiples of 8, got 30 x 32"):
        NETS["vgg-small"](NetSpec(name="vgg-small", depths=1), 30, 32, 3, 10)


class Stop(Watcher):
    """Stops a run in its second epoch."""

    def step(self, epoch: int, loss: float, accuracies: list[float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def test_loop_trains_images_and_goes_on_after_a_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "HELD_OUT", 10)
    data = make_tar(tmp_path / "all.tar", train=10)
    recipe = load_recipe("cifar10", ["optim.epochs=3", "optim.batch=15", "optim.lr=1e-2"])

    def run(out: Path, watcher: Watcher) -> dict[str, float]:
        return train(recipe, data, out, tmp_path / "cache", resume=True, watcher=watcher)

    result = run(tmp_path / "whole", Watcher())
    history = load_checkpoint(tmp_path / "whole" / "final.pt")["history"]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert result["full"] > 0.2
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", Stop())
    assert run(tmp_path / "stopped", Watcher()) == result
    one, other = (load_checkpoint(tmp_path / d / "final.pt")["model"] for d in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    outcome = measure_run(tmp_path / "whole", "row", 1, data, tmp_path / "cache", Watcher())
    assert outcome.measured_by == "engine"
    assert outcome.accuracy["full"] == pytest.approx(100 * result["full"])
    assert outcome.nanoseconds["full"] > 0
    model = tmp_path / "net.bifast"
    arguments = ["export", str(tmp_path / "whole"), "--out", str(model), "--data", str(data)]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(["eval", str(model), str(data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["clips"], told["task"]) == (20, "cifar10")
    assert told["depths"]["full"]["accuracy"] == pytest.approx(100 * result["full"])
    card = Model.load(model).card
    assert card["data"].startswith("CIFAR-10 (Alex Krizhevsky")
    assert card["float_bytes"] / model.stat().st_size > 20


def test_representations_are_aligned_image_by_image() -> None:
    """RBD on [B, H, W, C]: nothing for the teacher itself, and the mean over the images of a batch."""
    teacher = build("resnet20", "full").eval()
    student = build("resnet20").train()
    rbd, options = FEATURE_LOSSES["rbd"], MapOptions()
    pixels = batch("resnet20")
    with torch.no_grad():
        maps = teacher.backbone(teacher.features(pixels), 0)[1]
    prepared = {unit: rbd.prepare(out, options) for unit, out in maps.items()}
    assert rbd.total(maps, prepared, options) == pytest.approx(0, abs=1e-6)
    own = student.backbone(student.features(pixels), 0)[1]
    assert list(own) == list(range(18))
    loss = rbd.total(own, prepared, options)
    assert 0 < loss < 18 * 2**0.5
    alone = [
        rbd.total(
            {u: out[i : i + 1] for u, out in own.items()},
            {u: (out[i : i + 1],) for u, out in maps.items()},
            options,
        )
        for i in range(len(pixels))
    ]
    torch.testing.assert_close(loss, torch.stack(alone).mean())
    loss.backward()
    assert all(unit.conv.weight.grad.any() for unit in student.units)
