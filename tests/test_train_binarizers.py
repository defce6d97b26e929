"""Binarizers of the survey: signs, gradients against the papers' soft functions, schedules, limits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from test_train_export import LABELS, features, random_net
from torch import Tensor

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER
from bifast.train.batches import Batch
from bifast.train.binarizers import BINARIZERS, Binarizer
from bifast.train.binarizers.dirnet import DirNet, small_quantile
from bifast.train.binarizers.irnet import sharpness
from bifast.train.binarizers.recu import quantile_of
from bifast.train.export.model import export_model
from bifast.train.export.parity import TOLERANCE, check_parity
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.objective import batch_loss
from bifast.train.optimizer import make_optimizer
from bifast.train.recipe import Optim, Recipe

torch.set_num_threads(1)
NAMES = BINARIZERS.names()
BITS = [n for n in NAMES if BINARIZERS[n].binary and not BINARIZERS[n].unsupported]


def make(name: str, c_in: int = 12, c_out: int = 6) -> Binarizer:
    torch.manual_seed(0)
    return BINARIZERS[name](c_in, c_out)


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of a sum, weighted so that places do not look alike."""
    x = x.detach().clone().requires_grad_()
    y = function(x)
    (y * torch.linspace(1, 2, y.numel()).view_as(y)).sum().backward()
    assert x.grad is not None
    return x.grad


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


# ---- estimators of the others, each against the function that its paper gives ---------------------------


def swish(x: Tensor) -> Tensor:
    share = torch.sigmoid(5 * x)
    return 2 * share * (1 + 5 * x * (1 - share)) - 1


def approx_sign(x: Tensor) -> Tensor:
    inner = torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)
    return torch.where(x < -1, -torch.ones(()), torch.where(x < 1, inner, torch.ones(())))


def series(terms: int) -> Callable[[Tensor], Tensor]:
    def inside(x: Tensor) -> Tensor:
        odd = [2 * i + 1 for i in range(terms)]
        total = sum(torch.sin(k * 0.1 * x.clamp(-1, 1)) / k for k in odd)
        return torch.as_tensor(4 / math.pi * total)

    return inside


def soft_step(u: float) -> Callable[[Tensor], Tensor]:
    """DSQ's, as its paper writes it for the interval -u .. u: s tanh(k (x - centre)) with a = 0.2."""
    a = 0.2
    s, k = 1 / (1 - a), math.log(2 / a - 1) / (2 * u)
    return lambda x: s * torch.tanh(k * x.clamp(-u, u))


ESTIMATORS: list[tuple[str, float, Callable[[Tensor], Tensor]]] = [
    ("bnn", 0.0, lambda x: x.clamp(-1, 1)),
    ("bnn+", 0.0, swish),
    ("xnor-weights", 0.0, lambda x: x.clamp(-1, 1)),
    ("xnor++", 0.0, lambda x: x.clamp(-1, 1)),
    ("dorefa", 0.0, lambda x: 2 * x.clamp(0, 1) - 1),
    ("bireal", 0.0, approx_sign),
    ("reactnet", 0.0, approx_sign),
    ("rad", 0.0, lambda x: x.clamp(-1, 1)),
    ("dsq", 0.0, soft_step(1.0)),
    ("fda", 0.0, series(10)),
    ("fda", 0.5, series(15)),
    ("fda", 0.99, series(19)),
    ("adabin", 0.0, approx_sign),
]


@pytest.mark.parametrize(("name", "fraction", "soft"), ESTIMATORS)
def test_gradient_of_inputs_is_that_of_the_papers_function(
    name: str, fraction: float, soft: Callable[[Tensor], Tensor]
) -> None:
    binarizer = make(name)
    binarizer.set_progress(fraction)
    x = 1.5 * torch.randn(40, 12)
    torch.testing.assert_close(
        gradient(binarizer.activation, x), gradient(soft, x), atol=2e-5, rtol=1e-4
    )


WEIGHTS: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("binaryconnect", lambda w: w),
    ("bwn", lambda w: w.clamp(-1, 1)),
    ("bnn", lambda w: w.clamp(-1, 1)),
    ("bnn+", swish),
    ("dorefa", lambda w: w),
    ("bireal", lambda w: w.clamp(-1, 1)),
    ("dsq", soft_step(0.25)),
    ("proxquant", lambda w: w),
]


@pytest.mark.parametrize(("name", "soft"), WEIGHTS)
def test_gradient_of_levels_is_that_of_the_papers_function(
    name: str, soft: Callable[[Tensor], Tensor]
) -> None:
    w = torch.randn(6, 12)
    grad = gradient(lambda w: make(name).weight(w)[0], w)
    torch.testing.assert_close(grad, gradient(soft, w), atol=2e-5, rtol=1e-4)


def test_scale_of_xnor_has_a_gradient_and_that_of_bireal_none() -> None:
    w = torch.randn(6, 12)
    grad = gradient(lambda w: make("xnor-weights").weight(w)[1], w)
    weights = torch.linspace(1, 2, 6)[:, None]
    torch.testing.assert_close(grad, weights * w.sign() / 12)
    assert not make("bireal").weight(w.requires_grad_())[1].requires_grad


def test_dsq_learns_its_softness_and_its_range() -> None:
    binarizer = make("dsq")
    x = torch.randn(40, 12)
    softness = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    reach = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    s, k = 1 / (1 - softness), torch.log(2 / softness - 1) / (2 * reach)
    clipped = torch.minimum(torch.maximum(x.double(), -reach), reach)
    (s * torch.tanh(k * clipped)).sum().backward()
    binarizer.activation(x).sum().backward()
    assert binarizer.softness.grad[0].item() == pytest.approx(softness.grad.item(), rel=1e-4)
    assert binarizer.range.grad[0].item() == pytest.approx(reach.grad.item(), rel=1e-4)


def test_xnor_multiplies_a_position_by_the_mean_size_of_its_channels() -> None:
    x = torch.tensor([[1.0, -3.0], [0.5, 0.0]])
    assert make("xnor", 2).activation(x).tolist() == [[2, -2], [0.25, 0.25]]


def test_threshold_of_reactnet_is_shared_by_the_positions_and_learned() -> None:
    binarizer = make("reactnet", 2)
    with torch.no_grad():
        binarizer.threshold.copy_(torch.tensor([0.5, -0.5]))
    y = binarizer.activation(torch.tensor([[0.5, -0.6, 0.4, -0.5]]))
    assert y.tolist() == [[1, -1, -1, 1]]
    y.sum().backward()
    torch.testing.assert_close(binarizer.threshold.grad, torch.tensor([-3.8, -3.8]))


def test_dorefa_changes_sign_at_one_half() -> None:
    x = torch.tensor([[0.49999997, 0.5, 0.0, 1.0]])
    binarizer = make("dorefa", 4)
    assert binarizer.activation(x).tolist() == [[-1, 1, -1, 1]]
    assert torch.equal(binarizer.signs(x)[0] > 0, x >= binarizer.thresholds()[0])


def test_proximal_step_draws_to_the_level_and_not_past_it() -> None:
    binarizer = make("proxquant", 4, 1)
    binarizer.set_progress(0.5)
    w = torch.tensor([[1.0, -2.0, 3.0, 2.01]])  # mean size 2.0025, a pull of 1 % of it
    size, pull = w.abs().mean().item(), 0.01 * w.abs().mean().item()
    with torch.no_grad():
        expected = [1 + pull, -2 - (size - 2), 3 - pull, size]
        binarizer.project(w)
    torch.testing.assert_close(w, torch.tensor([expected]))
    with torch.no_grad():
        for _ in range(400):
            binarizer.project(w)
    assert w.abs().unique().numel() <= 2
    torch.testing.assert_close(w, binarizer.eval().weight(w)[0] * w.abs().mean())


def test_latent_weights_are_clipped() -> None:
    for name in ("binaryconnect", "bnn"):
        w = torch.tensor([[-3.0, 0.5, 2.0]])
        make(name, 3, 1).project(w)
        assert w.tolist() == [[-1, 0.5, 1]]


def test_regulariser_of_bnn_plus_is_the_distance_from_the_mean_size() -> None:
    w = torch.tensor([[1.0, -3.0], [2.0, 2.0]])
    assert make("bnn+", 2, 2).penalty(w).item() == pytest.approx(2e-6)


def test_distribution_loss_of_rad_is_the_mean_of_the_depths_and_ends_early() -> None:
    binarizer = make("rad", 3)
    # Channels of mean and deviation (0, 1), (5, 1), (0, 5).
    base = torch.tensor([-1.0, 1.0]).repeat(50)[:, None]
    x = base * torch.tensor([1.0, 1.0, 5.0]) + torch.tensor([0.0, 5.0, 0.0])
    expected = (1.0 + 24.0 + 1.0) / 3
    binarizer.activation(x)
    binarizer.activation(x)
    assert binarizer.penalty(x).item() == pytest.approx(expected * 2 / 26, rel=1e-5)
    assert binarizer.penalty(x) is None
    with torch.no_grad():
        binarizer.activation(x)
    assert binarizer.penalty(x) is None
    binarizer.set_progress(0.95)
    binarizer.activation(x)
    assert binarizer.penalty(x).item() == 0


def test_recu_holds_back_the_gradient_of_the_tails() -> None:
    assert (quantile_of(0), quantile_of(1)) == (pytest.approx(0.85), pytest.approx(0.99))
    binarizer = make("recu", 5000, 1)
    w = torch.distributions.Laplace(0.0, 1.0).sample((1, 5000)).requires_grad_()
    levels, _ = binarizer.weight(w)
    flat = (w - w.mean()).detach()
    standard = flat / (flat.var().sqrt() / (2 * math.sqrt(2)))
    edge = -standard.abs().mean() * math.log(2 - 2 * 0.85)
    share = (standard.abs() > edge).float().mean().item()
    assert share == pytest.approx(2 * (1 - 0.85), abs=0.02)
    levels.backward(torch.ones_like(levels) * standard.sign())
    # Inside, what passes; outside, only what goes through mean and deviation: the same for all, but for
    # a part in proportion to the weight.
    inside, outside = standard.abs() < edge, standard.abs() > edge
    unit = (2 * math.sqrt(2) / flat.var().sqrt()).item()
    rest = w.grad - unit * inside * standard.sign()
    slope = (rest * standard).sum() / standard.square().sum()
    torch.testing.assert_close(rest, slope * standard + rest.mean(), atol=1e-3, rtol=0)
    assert outside.any()


def test_recu_measures_inputs_by_the_deviation_of_their_clip() -> None:
    binarizer = make("recu", 4)
    x = torch.randn(3, 8, 4) * torch.tensor([0.1, 1.0, 10.0]).view(3, 1, 1)
    grad = gradient(binarizer.activation, x)
    alive = [(g != 0).float().mean().item() for g in grad]
    assert min(alive) > 0.5


def test_adabin_takes_two_values_that_are_not_opposite() -> None:
    binarizer = make("adabin")
    w = torch.randn(6, 12) + 0.5
    levels, _ = binarizer.weight(w)
    mean, deviation = w.mean(1, keepdim=True), w.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(levels, torch.where(w >= mean, mean + deviation, mean - deviation))
    with torch.no_grad():
        binarizer.distance.fill_(2.0)
        binarizer.centre.fill_(0.5)
    assert binarizer.activation(torch.tensor([0.4, 0.5])).tolist() == [-1.0, 3.0]


# ---- a net ---------------------------------------------------------------------------------------------


def test_net_passes_progress_on() -> None:
    net = NETS["bifsmn"](NetSpec(binarizer="irnet"), 32, 32, 3)
    net.set_progress(0.5)
    assert net.blocks[7].project.binarizer.t.item() == pytest.approx(1)
    assert net.penalty() is None
    # Schedules are functions of the epoch: no part of a checkpoint.
    assert not [name for name in net.state_dict() if name.endswith(".t")]


def moved(name: str) -> KeywordNet:
    """A small net whose binarizers' own parameters are not as at first."""
    net = random_net(NetSpec(binarizer=name, blocks=2, depths=2))
    torch.manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, Binarizer):
                for parameter in module.parameters():
                    parameter.add_(0.3 * torch.rand_like(parameter))
    return net


@pytest.mark.parametrize("name", BITS)
def test_engine_equals_pytorch(name: str) -> None:
    net = moved(name)
    file = export_model(net, LABELS, FRONTEND_PAPER, {"name": name})
    parity = check_parity(net, bifast.Model.load(file.to_bytes()), features(16).numpy())
    assert parity.moved == 0
    assert parity.close < TOLERANCE


@pytest.mark.parametrize("name", [n for n in NAMES if BINARIZERS[n].unsupported])
def test_export_refuses_what_is_no_bits_and_names_layer_and_reason(name: str) -> None:
    net = moved(name)
    assert net(features(2)).isfinite().all()
    reason = re.escape(net.blocks[0].expand.binarizer.unsupported)
    with pytest.raises(UnsupportedError, match=rf"layer \S+: {reason}"):
        export_model(net, LABELS, FRONTEND_PAPER, {})


@pytest.mark.parametrize(
    ("levels", "scale", "message"),
    [(1.5, 1.0, r"a weight -?1\.5, not \+1 or -1"), (1.0, -1.0, "no positive scale")],
)
def test_binarizer_that_breaks_its_promise_is_refused_by_layer(
    levels: float, scale: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = moved("bnn")

    def wrong(self: Binarizer, w: Tensor) -> tuple[Tensor, Tensor]:
        return w.sign() * levels, w.new_full(w.shape[:1], scale)

    monkeypatch.setattr(type(net.blocks[0].expand.binarizer), "weight", wrong)
    with pytest.raises(
        UnsupportedError, match=rf"layer stem\.conv2: its binarizer gives {message}"
    ):
        export_model(net, LABELS, FRONTEND_PAPER, {})


@pytest.mark.parametrize("name", NAMES)
def test_net_learns_a_batch(name: str) -> None:
    """Twenty steps over the whole schedule on clips that differ in level: the loss falls."""
    torch.manual_seed(0)
    recipe = Recipe("x", net=NetSpec(binarizer=name, blocks=1, depths=1))
    net = NETS["bifsmn"](recipe.net, 32, 32, 4).train()
    optimizer = make_optimizer(net, Optim(lr=6e-3))
    labels = torch.arange(16) % 4
    batch = Batch(features(16) + 20 * labels[:, None, None], labels, None, np.arange(16))
    losses = []
    for step in range(20):
        net.set_progress(step / 20)
        loss, _ = batch_loss(net, batch, recipe.optim, recipe.distill)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        net.project()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.8 * losses[0]
