"""Keyword nets with first and last layers of bytes: trained as they run, exported with every bit the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from test_train_export import LABELS, both_scores, features, random_net

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER, ModelFile
from bifast.train.calibrate import calibrate
from bifast.train.data.features import Split
from bifast.train.export.ends import with_byte_ends
from bifast.train.export.model import export_model
from bifast.train.export.parity import ParityError, check_parity
from bifast.train.nets import KeywordNet, NetSpec
from bifast.train.nets.bytes import Bytes
from bifast.train.nets.layer import Layer
from bifast.train.recipe import Recipe

SPECS = {
    "bifsmn": NetSpec(ends="int8", blocks=2, depths=2),
    "bifsmnv2": NetSpec(ends="int8", blocks=2, depths=2, binarizer="bifsmnv2"),
    "kws": NetSpec("kws", ends="int8", blocks=2, depths=2),
}
Exported = tuple[KeywordNet, ModelFile]


@pytest.fixture(scope="module", params=list(SPECS))
def exported(request: pytest.FixtureRequest) -> Exported:
    net = random_net(SPECS[request.param])
    return net, export_model(net, LABELS, FRONTEND_PAPER, {"name": "random"})


def test_engine_gives_pytorchs_bits(exported: Exported, isa: str) -> None:
    for got, expected in both_scores(*exported, isa):
        assert got.tobytes() == expected.tobytes()


def test_all_weights_of_a_file_are_bits_or_bytes(exported: Exported) -> None:
    _, file = exported
    weights = {file.tensors[op.weights].dtype for op in file.ops if op.weights is not None}
    assert weights == {"bits", "i8"}
    assert ModelFile.from_bytes(file.to_bytes()).ops == file.ops


def test_features_are_cut_to_the_range_that_was_seen(exported: Exported) -> None:
    net, file = exported
    model = bifast.Model.load(file.to_bytes())
    x = np.where(np.random.default_rng(0).random((4, 32, 32)) < 0.5, -1e30, 1e30).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    assert model.run_features(x).tobytes() == expected.tobytes()


def test_parity_takes_no_difference(exported: Exported) -> None:
    net, file = exported
    clips = features(8).numpy()
    parity = check_parity(net, bifast.Model.load(file.to_bytes()), clips)
    assert (parity.moved, parity.apart, parity.close) == (0, 0, 0)
    first = next(op for op in file.ops if op.code == "byte_conv2d")
    ops = [dataclasses.replace(op, fill=0) if op is first else op for op in file.ops]
    with pytest.raises(ParityError):
        check_parity(net, bifast.Model.load(dataclasses.replace(file, ops=ops).to_bytes()), clips)


def test_training_computes_what_evaluation_does_but_for_rounding(exported: Exported) -> None:
    net, _ = exported
    layer = next(m for m in net.modules() if isinstance(m, Layer) and m.bytes is not None)
    assert layer.bytes is not None
    x = features(8)[..., None]
    with torch.no_grad():
        levels, scale = layer.binarizer.weight(layer.weight)
        worth = layer.bytes(x)
        expected = layer.product(worth, levels * scale.reshape(-1, 1, 1, 1))
        scales, shifts = layer.affine(0)
        assert layer.norm is not None
        norm_scale, norm_shift = layer.norm.affine(0)
        pad = layer.fill()
        sums = layer.product(layer.bytes.levels(x).double(), levels.double()).float()
    assert pad == float(layer.bytes.zero()) > 0
    inner = (slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(
        (sums * scales + shifts)[inner],
        (expected * norm_scale.float() + norm_shift.float())[inner],
        rtol=1e-3,
        atol=1e-3,
    )


def test_bytes_stand_for_zero_exactly_and_pass_the_gradient_inside_the_range() -> None:
    bytes_ = Bytes()
    x = torch.tensor([-10.0, -3.3, 0.0, 5.0, 40.0], requires_grad=True)
    bytes_(x)
    assert (bytes_.low, bytes_.high) == (-10, 40)
    bytes_.eval()
    wide = torch.tensor([-99.0, 0.0, 3.0, 99.0], requires_grad=True)
    y = bytes_(wide)
    assert y[1] == 0
    assert y[2].item() == pytest.approx(3, abs=50 / 255)
    y.sum().backward()
    assert wide.grad is not None
    assert wide.grad.tolist() == [0, 1, 1, 0]
    assert (bytes_.low, bytes_.high) == (-10, 40)


def test_range_follows_the_batches() -> None:
    bytes_ = Bytes()
    bytes_(torch.tensor([1.0, 2.0]))
    assert (bytes_.low, bytes_.high) == (0, 2)
    bytes_(torch.tensor([-1.0, 3.0]))
    assert bytes_.low.item() == pytest.approx(-0.1)
    assert bytes_.high.item() == pytest.approx(2.1)


def test_calibration_leaves_the_ranges() -> None:
    net = random_net(SPECS["bifsmn"])
    before = {k: v.clone() for k, v in net.state_dict().items() if ".bytes." in k}
    clips = 2 * features(16).numpy()[:, None]
    labels = np.zeros(16, np.int64)
    calibrate(net, Split(clips, labels, labels + 1, ["a"] * 16, []), batch=8)
    assert before
    assert all(torch.equal(net.state_dict()[k], v) for k, v in before.items())


def test_trained_net_gets_ends_of_bytes_and_keeps_the_rest() -> None:
    spec = NetSpec(blocks=2, depths=2)
    net, recipe = random_net(spec).eval(), Recipe("x", net=spec)
    made, changed = with_byte_ends(net, recipe, features(256).numpy())
    assert changed.net.ends == "int8"
    kept = net.state_dict()
    assert all(torch.equal(made.state_dict()[key], value) for key, value in kept.items())
    file = export_model(made, LABELS, FRONTEND_PAPER, {})
    clips = features(64).numpy()
    assert check_parity(made, bifast.Model.load(file.to_bytes()), clips).close == 0
    with torch.no_grad():
        same = net(features(64)).argmax(1) == made(features(64)).argmax(1)
    assert same.float().mean() > 0.8
    with pytest.raises(UnsupportedError, match="no real ends"):
        with_byte_ends(made, changed, clips)


def test_real_net_with_ends_of_bytes_is_no_onnx_graph() -> None:
    from bifast.train.export import Builder

    net = random_net(NetSpec(ends="int8", blocks=1, depths=1, binarizer="full")).eval()
    with pytest.raises(UnsupportedError, match=r"layer stem\.conv1.*net\.ends"):
        net.wire(Builder(real=True))
