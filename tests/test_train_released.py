"""The released code's quirks: each does what that code does, and export names what it can not run."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER
from bifast.train.binarizers import BINARIZERS
from bifast.train.export.model import export_model
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.series.outcome import one_bit_weights

torch.set_num_threads(1)
POINTWISE = 8 * 2 * 128 * 256
STEM_CONV = 32 * 16 * 25


def build(**keys: str) -> KeywordNet:
    torch.manual_seed(0)
    return NETS["bifsmn"](NetSpec(**keys), 32, 32, 12)


def effective(layer: torch.nn.Module) -> torch.Tensor:
    levels, scale = layer.binarizer.weight(layer.weight.detach())
    return levels * scale.reshape(-1, *[1] * (levels.dim() - 1))


@pytest.mark.parametrize("name", BINARIZERS.names())
def test_binarizer_that_claims_bits_has_bits(name: str) -> None:
    binarizer = BINARIZERS[name](10, 6)
    if not binarizer.binary or binarizer.unsupported:
        pytest.skip("claims no bits")
    levels, scale = binarizer.weight(torch.randn(6, 10) + 0.3)
    assert set(levels.unique().tolist()) == {-1.0, 1.0}
    assert scale.shape == (6,)
    assert (scale > 0).all()


@pytest.mark.parametrize("binarizer", ["pair-scale", "released"])
def test_pair_scale_gives_convolutions_of_width_one_their_real_weights(binarizer: str) -> None:
    layer = build(binarizer=binarizer).blocks[3].expand
    w = layer.weight.detach()
    torch.testing.assert_close(effective(layer), w - w.mean(), rtol=0, atol=1e-7)
    assert effective(layer)[0].abs().unique().numel() > 100


@pytest.mark.parametrize("binarizer", ["pair-scale", "released"])
def test_other_layers_have_the_scales_of_the_release(binarizer: str) -> None:
    """Distinct sizes in an output channel: one for each input in 5 x 5, one in fc1 and memory."""
    net = build(binarizer=binarizer)
    sizes = {
        name: effective(layer)[0].abs().unique().numel() for name, layer, _, _ in net.layer_table()
    }
    assert sizes["stem.conv2"] == 16
    assert sizes["fc1"] == 1
    assert sizes["block0.memory"] == 1


def test_91_percent_of_the_1_bit_weights_are_real_in_the_release() -> None:
    ours, total = one_bit_weights(build(binarizer="bifsmn"))
    released, _ = one_bit_weights(build(binarizer="released"))
    assert (ours, total) == (574_976, 587_664)
    assert ours - released == POINTWISE + STEM_CONV
    assert POINTWISE / ours == pytest.approx(0.91, abs=0.005)


def test_released_linear_is_not_centred() -> None:
    w = torch.randn(6, 10) + 0.3
    levels, scale = BINARIZERS["released-linear"](10, 6).weight(w)
    assert torch.equal(levels, w.sign())
    torch.testing.assert_close(scale, w.abs().mean(1))


def test_third_level_changes_nothing_but_exact_zeros() -> None:
    w = torch.randn(6, 5, 5, 3)
    ours, quirk = (BINARIZERS[n](3, 6) for n in ("bifsmn", "sign-zero"))
    assert all(torch.equal(a, b) for a, b in zip(ours.weight(w), quirk.weight(w), strict=True))
    assert torch.equal(ours.activation(w), quirk.activation(w))


@pytest.mark.parametrize("binarizer", ["sign-zero", "released", "released-linear"])
def test_sign_of_zero_is_a_third_level_with_a_clipped_gradient(binarizer: str) -> None:
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    y = BINARIZERS[binarizer](1, 1).activation(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 0, 1, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_gradient_of_released_weights_is_not_scaled() -> None:
    w = torch.tensor([[0.2, -0.4], [0.6, -0.2]], requires_grad=True)
    levels, _ = BINARIZERS["released"](2, 2).weight(w)
    (levels * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    # Through the mean that is taken away, and without the scale of 0.15 to 0.55.
    assert w.grad is not None
    torch.testing.assert_close(w.grad, torch.tensor([[-1.5, -0.5], [0.5, 1.5]]))


def test_shared_statistics_are_one_set_that_every_depth_moves() -> None:
    net = build(statistics="shared")
    norm, last = net.blocks[7].memory.norm, net.blocks[7].project.norm
    assert norm.mean.shape == (1, 128)
    assert last.mean.shape == (4, 128)
    net.train()
    stream = net.features(torch.randn(4, 32, 32))
    for depth in range(4):
        before = norm.mean.clone()
        net.backbone(stream, depth)
        assert not torch.equal(norm.mean, before)
    assert norm.count.tolist() == [4]
    torch.testing.assert_close(norm.affine(3)[0], norm.affine(0)[0])


@pytest.mark.parametrize(
    ("binarizer", "message"),
    [
        ("pair-scale", r"layer stem\.conv2: a weight scale for each pair"),
        ("released", r"layer stem\.conv2: a weight scale for each pair"),
        ("sign-zero", r"layer stem\.conv2: sign\(0\) = 0 is a third level"),
    ],
)
def test_export_refuses_a_quirk_by_layer_and_reason(binarizer: str, message: str) -> None:
    net = build(binarizer=binarizer)
    with pytest.raises(UnsupportedError, match=message):
        export_model(net, tuple("abcdefghijkl"), FRONTEND_PAPER, {})


def test_net_with_shared_statistics_is_exported_with_fewer_tables() -> None:
    sizes = []
    for statistics in ("shared", "depth"):
        net = build(statistics=statistics)
        net.train()
        stream = net.features(torch.randn(4, 32, 32) * 15 - 40)
        for depth in range(4):
            net.backbone(stream, depth)
        file = export_model(net, tuple("abcdefghijkl"), FRONTEND_PAPER, {})
        sizes.append(len(file.to_bytes()))
        per_depth = [op for op in file.ops if op.name == "block7.memory"]
        assert len(per_depth) == (1 if statistics == "shared" else 4)
    assert sizes[0] < sizes[1]
