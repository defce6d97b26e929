"""Estimators and losses of single binarizers, each against what its paper gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from binarized import gradient, make
from torch import Tensor

from bifast.train.binarizers.recu import quantile_of

torch.set_num_threads(1)


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
