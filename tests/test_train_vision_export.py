"""Nets for images in the engine: the bits of PyTorch in evaluation, on every instruction set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER, ModelFile
from bifast.train.export.model import export_model
from bifast.train.export.parity import ParityError, check_parity, random_features
from bifast.train.nets import NETS, Net, NetSpec

torch.set_num_threads(1)

LABELS = tuple("abcdefghij")
SHAPES = {"resnet20": (32, 32, 3), "vgg-small": (8, 8, 3), "resnet18": (32, 32, 3)}


def random_net(name: str, binarizer: str, ends: str = "full") -> Net:
    """A net whose statistics and parameters have left their first values."""
    torch.manual_seed(1)
    spec = NetSpec(name=name, binarizer=binarizer, ends=ends, depths=1)
    net: Net = NETS[name](spec, *SHAPES[name], len(LABELS))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1 * (parameter.abs().mean() + 0.1))
        net.project()
        net.train()(torch.from_numpy(random_features(net, 4)))
    return net.eval()


def file_of(net: Net) -> ModelFile:
    return export_model(net, LABELS, FRONTEND_PAPER, {"name": "test"})


@pytest.fixture(
    scope="module",
    params=[
        ("resnet20", "dirnet", "full"),
        ("resnet20", "bifsmnv2", "full"),
        ("vgg-small", "reactnet", "int8"),
        ("resnet18", "bireal", "full"),
        ("resnet18", "irnet", "int8"),
    ],
    ids="-".join,
)
def exported(request: pytest.FixtureRequest) -> tuple[Net, ModelFile]:
    net = random_net(*request.param)
    return net, file_of(net)


def test_engine_scores_are_pytorchs_bits(exported: tuple[Net, ModelFile], isa: str) -> None:
    net, file = exported
    images = random_features(net, 6)
    with torch.no_grad():
        expected = net(torch.from_numpy(images)).numpy()
    model = bifast.Model.load(file.to_bytes(), isa=isa)
    images = images.astype(model.input_dtype)
    np.testing.assert_array_equal(model.run(images), expected)
    assert model.input_shape == net.shape
    assert model.classify(images[0]).label == LABELS[expected[0].argmax()]


def test_model_takes_channels_last_and_says_so(exported: tuple[Net, ModelFile]) -> None:
    net, file = exported
    model = bifast.Model.load(file.to_bytes())
    images = random_features(net, 2).astype(model.input_dtype)
    with pytest.raises(ValueError, match=r"channels first; write x.transpose\(0, 2, 3, 1\)"):
        model.run(images.transpose(0, 3, 1, 2))


def test_parity_finds_a_changed_weight(exported: tuple[Net, ModelFile]) -> None:
    net, file = exported
    model = bifast.Model.load(file.to_bytes())
    images = random_features(net, 4)
    assert check_parity(net, model, images).apart == 0
    layer = next(la for _, la, _, _ in net.layer_table() if la.binarizer.binary)
    with torch.no_grad():
        layer.weight.neg_()
        with pytest.raises(ParityError, match="no bit of the first layer explains it"):
            check_parity(net, model, images)
        layer.weight.neg_()


def test_resnet20_is_a_twentieth_of_its_twin() -> None:
    net = random_net("resnet20", "irnet")
    size = len(file_of(net).to_bytes())
    assert size < 52_000
    assert 4 * sum(p.numel() for p in net.parameters()) / size > 20


def test_binarizer_that_is_not_bits_is_refused_with_its_layer() -> None:
    for name, reason in (("xnor", "scale"), ("full", "real weights")):
        with pytest.raises(UnsupportedError, match=rf"layer (unit0|stem).*: .*{reason}"):
            file_of(random_net("resnet20", name))


def test_real_layers_are_the_ends_and_shortcuts(exported: tuple[Net, ModelFile]) -> None:
    net, file = exported
    real = {op.name for op in file.ops if op.code in ("conv2d", "byte_conv2d")}
    names = {name for name, la, _, _ in net.layer_table() if not la.binarizer.binary}
    assert real == names
    kinds = {file.tensors[op.weights].dtype for op in file.ops if op.name in real}
    assert kinds == ({"i8"} if net.spec.ends == "int8" else {"f16"})


def test_onnx_graph_of_bytes_and_bits_is_the_net(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    from bifast.train.export.onnx import export_onnx

    net = random_net("resnet20", "irnet", "int8")
    assert "bits as in the engine" in export_onnx(net, tmp_path / "net.onnx")
