"""Every binarizer: gradients, bits and what it declares; and IR-Net and DIR-Net."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from binarized import BITS, NAMES, gradient, make

from bifast.train.binarizers import BINARIZERS
from bifast.train.binarizers.dirnet import DirNet, small_quantile
from bifast.train.binarizers.irnet import sharpness

torch.set_num_threads(1)

# ---- every binarizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.4, 0.99])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_reach_inputs_and_weights(name: str, fraction: float) -> None:
    binarizer = make(name).train()
    binarizer.set_progress(fraction)
    x, w = torch.randn(40, 12, requires_grad=True), torch.nn.Parameter(0.1 * torch.randn(6, 12))
    levels, scale = binarizer.weight(w)
    loss = (binarizer.activation(x) @ (levels * scale[:, None]).t()).square().mean()
    penalty = binarizer.penalty(w)
    (loss if penalty is None else loss + penalty).backward()
    parameters = [p for p in binarizer.parameters() if p.requires_grad]
    for grad in [x.grad, w.grad, *(p.grad for p in parameters)]:
        assert grad is not None
        assert grad.isfinite().all()
    assert x.grad.any()
    assert w.grad.any()
    with torch.no_grad():
        binarizer.project(w)
    assert w.isfinite().all()


@pytest.mark.parametrize("name", BITS)
def test_bits_of_evaluation_are_the_signs_of_training(name: str) -> None:
    binarizer = make(name)
    x, w = torch.randn(40, 12), 0.1 * torch.randn(6, 12)
    trained, (levels, scale) = binarizer.activation(x), binarizer.weight(w)
    binarizer.eval()
    planes = binarizer.signs(x)
    if binarizer.n_planes == 1:
        assert torch.equal(planes[0], trained.sign())
    again = binarizer.weight(w)
    assert torch.equal(again[0], levels)
    assert torch.equal(again[1], scale)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_the_device_of_the_net(name: str) -> None:
    """On `meta` any value that is read, or made on the CPU, is an error: as on CUDA, but without one."""
    binarizer = make(name).to("meta").train()
    w = torch.randn(6, 12, device="meta", requires_grad=True)
    y = binarizer.activation(torch.randn(40, 12, device="meta", requires_grad=True))
    levels, scale = binarizer.weight(w)
    penalty = binarizer.penalty(w)
    total = y.sum() + (levels * scale[:, None]).sum()
    (total if penalty is None else total + penalty).backward()
    with torch.no_grad():
        binarizer.project(w)


@pytest.mark.parametrize("name", NAMES)
def test_scales_are_of_the_kind_that_is_declared(name: str) -> None:
    binarizer = make(name)
    if name == "full":
        assert binarizer.needs() == "not bits"
        return
    _, scale = binarizer.weight(0.1 * torch.randn(6, 12))
    kinds = {"none": scale.eq(1).all(), "layer": scale.eq(scale[0]).all(), "channel": True}
    assert kinds[binarizer.scale]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bnn", "1 plane, signs at 0, no scale"),
        ("dorefa", "1 plane, thresholds, a scale a layer"),
        ("bifsmnv2", "2 planes, thresholds, a scale a channel"),
        ("adabin", "not bits"),
    ],
)
def test_binarizer_tells_what_the_engine_needs(name: str, told: str) -> None:
    assert make(name).needs() == told
    assert bool(BINARIZERS[name].unsupported) == (told == "not bits")


# ---- IR-Net and DIR-Net --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["irnet", "dirnet-dte"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.9])
def test_estimator_is_the_derivative_of_a_tanh(name: str, fraction: float) -> None:
    binarizer = make(name)
    binarizer.set_progress(fraction)
    t = 0.1 * 100**fraction
    k = max(1 / t, 1)
    x = torch.randn(40, 12)
    torch.testing.assert_close(
        gradient(binarizer.activation, x), gradient(lambda x: k * torch.tanh(t * x), x)
    )


def test_sharpness_goes_from_a_tenth_to_ten_in_equal_ratios() -> None:
    assert sharpness(0) == pytest.approx(0.1)
    assert sharpness(0.5) == pytest.approx(1)
    assert sharpness(1) == pytest.approx(10)


@pytest.mark.parametrize("name", ["irnet", "dirnet", "dirnet-imb"])
def test_weights_are_balanced_before_the_sign_and_scaled_by_a_power_of_two(name: str) -> None:
    w = torch.randn(6, 500) * 3 + 5
    levels, scale = make(name, 500).weight(w)
    centred = w - w.mean(1, keepdim=True)
    assert torch.equal(levels, centred.sign())
    # A normal distribution: mean |w^| = 0.798, whose log2 rounds to 0. A heavy tail: one down.
    assert scale.tolist() == [1] * 6
    heavy = torch.zeros(6, 500)
    heavy[:, ::50] = torch.tensor([9.0, -9.0]).repeat(5)
    heavy += 0.01 * w / 3
    spread = (heavy - heavy.mean(1, keepdim=True)).abs().mean(1) / heavy.std(1)
    expected = [2.0 ** round(math.log2(value)) for value in spread.tolist()]
    assert make(name, 500).weight(heavy)[1].tolist() == expected
    assert max(expected) < 1


@pytest.mark.parametrize("name", ["irnet", "dirnet", "dirnet-imb"])
def test_gradient_goes_through_mean_and_deviation(name: str) -> None:
    w = torch.randn(6, 50)
    grad = gradient(lambda w: make(name, 50).weight(w)[0], w)
    # What only shifts or stretches a channel's weights changes none of its signs.
    torch.testing.assert_close(grad.sum(1), torch.zeros(6), atol=1e-4, rtol=0)
    centred = w - w.mean(1, keepdim=True)
    torch.testing.assert_close((grad * centred).sum(1), torch.zeros(6), atol=1e-4, rtol=0)


@pytest.mark.parametrize("deviation", [0.2, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("name", ["dirnet", "dirnet-half"])
def test_share_of_the_values_keeps_a_derivative_to_the_end(name: str, deviation: float) -> None:
    binarizer = make(name)
    assert isinstance(binarizer, DirNet)
    binarizer.set_progress(1.0)
    x = deviation * torch.randn(80, 12)
    slope = gradient(binarizer.activation, x) / torch.linspace(1, 2, x.numel()).view_as(x)
    alive = (slope >= binarizer.least * 0.999).float().mean().item()
    assert alive >= binarizer.alive - 0.01
    # A narrow distribution has the schedule's sharpness, a wide one less.
    sharp = binarizer.limited(x).item()
    assert sharp == pytest.approx(10) if deviation == 0.2 else sharp <= 10
    if deviation == 20:
        assert sharp < 1


@pytest.mark.parametrize(("name", "deviation"), [("dirnet", 2.38), ("dirnet-half", 0.444)])
def test_normal_distribution_is_limited_from_a_deviation_on(name: str, deviation: float) -> None:
    binarizer = make(name)
    binarizer.set_progress(1.0)
    normal = torch.special.ndtri((torch.arange(1001) + 0.5) / 1001)
    assert binarizer.limited(0.97 * deviation * normal).item() == pytest.approx(10)
    assert binarizer.limited(1.03 * deviation * normal).item() < 9.5


def test_quantile_is_of_all_channels() -> None:
    x = torch.arange(256.0).repeat(1000, 1)  # each channel has one size
    assert small_quantile(x, 0.5).item() == pytest.approx(128, abs=4)
    assert small_quantile(torch.tensor([-3.0, 1.0, 2.0]), 0.1).item() == 1
