"""Nets: counts of the paper's tables, thinning, and weights that are truly one bit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast.train.binarizers import BINARIZERS
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.nets.bifsmn import kept_blocks
from bifast.train.nets.layer import Layer
from bifast.train.nets.memory import depthwise_time

torch.set_num_threads(1)

TEACHER = NetSpec(name="bifsmn-teacher", binarizer="full", depths=1, slopes="layer", dropout=0.2)


# Biases of the layers that a batch norm follows: it would take them away again, so ours have none.
CANCELLED_BIASES = 4_144


def build(spec: NetSpec, classes: int = 12) -> KeywordNet:
    torch.manual_seed(0)
    return NETS[spec.name](spec, 32, 32, classes)


def layers(net: KeywordNet) -> list[Layer]:
    return [layer for _, layer, _, _ in net.layer_table()]


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (NetSpec(depths=1, slopes="layer"), 600_263),
        (NetSpec(depths=4, slopes="layer"), 606_431),
        (TEACHER, 600_252),
    ],
    ids=["plain", "thinnable", "teacher"],
)
def test_parameter_count_is_the_papers(spec: NetSpec, parameters: int) -> None:
    assert sum(p.numel() for p in build(spec).parameters()) == parameters - CANCELLED_BIASES


def test_weight_bias_and_bit_counts_are_the_papers() -> None:
    found = layers(build(NetSpec(depths=1, slopes="layer")))
    assert sum(layer.weight.numel() for layer in found) == 587_664
    biases = [layer.bias.numel() for layer in found if layer.bias is not None]
    assert sum(biases) == 4_284 - CANCELLED_BIASES
    assert sum(layer.weight.numel() for layer in found if layer.binarizer.binary) == 574_976
    assert len(found) == 28


@pytest.mark.parametrize(
    ("depth", "macs"), [(0, 5_431_296), (1, 3_313_664), (2, 2_254_848), (3, 1_725_440)]
)
def test_multiply_adds_of_a_depth_are_the_papers(depth: int, macs: int) -> None:
    table = build(NetSpec()).layer_table()
    assert sum(la.macs(positions) for _, la, positions, on in table if depth in on) == macs


def test_thinned_depths_keep_every_second_block() -> None:
    assert [kept_blocks(d) for d in range(4)] == [
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 3, 5, 7),
        (3, 7),
        (7,),
    ]
    net = build(NetSpec())
    stream = net.features(torch.randn(4, 32, 32))
    for depth in range(4):
        assert tuple(net.backbone(stream, depth)[1]) == kept_blocks(depth)


def test_last_norm_of_a_block_is_private_to_each_depth() -> None:
    block = build(NetSpec()).blocks[7]
    assert len(block.project.norm.weight) == len(block.project.act.slope) == 4
    assert len(block.memory.norm.weight) == len(block.expand.norm.weight) == 1
    assert block.memory.norm.mean.shape == (4, 128)


def test_binary_weights_take_two_values_per_output_channel() -> None:
    for layer in layers(build(NetSpec())):
        levels, scale = layer.binarizer.weight(layer.weight.detach())
        effective = levels.flatten(1) * scale[:, None]
        values = [row.unique().numel() for row in effective]
        if layer.binarizer.binary:
            assert max(values) <= 2
            assert set(levels.unique().tolist()) == {-1.0, 1.0}
    assert sum(not la.binarizer.binary for la in layers(build(NetSpec()))) == 2


def test_weight_scale_is_the_mean_of_the_centred_weights() -> None:
    w = torch.randn(6, 10) + 0.3
    _, scale = BINARIZERS["bifsmn"](10, 6).weight(w)
    np.testing.assert_allclose(scale.numpy(), (w - w.mean()).abs().mean(1).numpy(), rtol=1e-6)


def test_sign_of_zero_is_one_and_its_gradient_is_clipped() -> None:
    x = torch.tensor([-2.0, -0.5, -0.0, 0.0, 1e-38, 0.5, 2.0], requires_grad=True)
    y = BINARIZERS["bifsmn"](1, 1).activation(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


def test_memory_skips_taps_outside_the_clip() -> None:
    x, w = torch.randn(2, 8, 3), torch.randn(5, 3)
    expected = torch.nn.functional.conv1d(
        x.transpose(1, 2), w.t()[:, None].contiguous(), padding=2, groups=3
    ).transpose(1, 2)
    torch.testing.assert_close(depthwise_time(x, w, 2), expected)
    ones = torch.ones(1, 8, 1)
    assert depthwise_time(ones, torch.ones(5, 1), 2)[0, :, 0].tolist() == [3, 4, 5, 5, 5, 5, 4, 3]


def test_memory_gradients_are_right() -> None:
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: depthwise_time(a, b, 2), (x, w))


def test_prelu_gradients_are_right() -> None:
    from bifast.train.nets.norm import PositivePRelu

    for channels in (1, 5):
        act = PositivePRelu(channels).double()
        x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
        y = act(x, 0)
        y.square().sum().backward()
        expected = torch.nn.functional.prelu(x.detach().requires_grad_(), act.slope[0])
        torch.testing.assert_close(y, expected)
        twin = x.detach().clone().requires_grad_()
        slope = act.slope[0].detach().clone().requires_grad_()
        torch.nn.functional.prelu(twin, slope).square().sum().backward()
        torch.testing.assert_close(x.grad, twin.grad)
        torch.testing.assert_close(act.slope[0].grad, slope.grad)


def test_slopes_stay_positive_after_projection() -> None:
    net = build(NetSpec())
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".slope." in name:
                parameter.fill_(-1.0)
    net.project()
    slopes = [p for n, p in net.named_parameters() if ".slope." in n]
    assert slopes
    assert min(p.min().item() for p in slopes) > 0


def test_evaluation_folds_what_training_computes() -> None:
    """With the batch's own statistics both modes are the same function."""
    net = build(NetSpec())
    layer = net.blocks[0].expand
    x = torch.randn(64, 8, 128)
    layer.norm.momentum = None
    layer.train()
    expected = layer(x, 0)
    layer.eval()
    # The running variance is the unbiased one: 512 / 511 here.
    torch.testing.assert_close(layer(x, 0), expected, rtol=1e-2, atol=1e-2)
