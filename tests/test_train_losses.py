"""Distillation: the Haar closed form, the distance's bounds, and a teacher that stays as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast.train.batches import Batch
from bifast.train.data.features import Split
from bifast.train.losses import emphasise, hed_loss, logit_loss
from bifast.train.losses.haar import haar_high, haar_low
from bifast.train.losses.hed import attention_distance
from bifast.train.nets import NETS, NetSpec
from bifast.train.objective import batch_loss, class_prior
from bifast.train.recipe import Distill, Optim
from bifast.train.teach import freeze

torch.set_num_threads(1)


def reference_low(x: np.ndarray) -> np.ndarray:
    """Analyse with the Haar filters, drop the details, synthesize."""
    low = np.array([1, 1]) / math.sqrt(2)
    rows = x.reshape(x.shape[0] // 2, 2, x.shape[1]).transpose(0, 2, 1) @ low
    both = rows.reshape(rows.shape[0], rows.shape[1] // 2, 2) @ low
    up = np.kron(both, np.ones((2, 2)))
    return up * low[0] * low[0]


def test_haar_low_band_equals_a_wavelet_transform() -> None:
    x = np.random.default_rng(0).normal(size=(8, 128))
    np.testing.assert_allclose(haar_low(torch.from_numpy(x)).numpy(), reference_low(x), atol=1e-6)


def test_haar_bands_add_up_and_constants_are_low() -> None:
    x = torch.randn(3, 8, 128)
    torch.testing.assert_close(haar_low(x) + haar_high(x), x)
    assert haar_high(torch.ones(1, 4, 4)).abs().max() == 0


def test_haar_refuses_odd_sizes() -> None:
    with pytest.raises(ValueError, match="even sizes"):
        haar_low(torch.zeros(1, 7, 4))


@pytest.mark.parametrize("per_sample", [True, False])
def test_distance_is_zero_for_equal_maps_and_at_most_root_two(per_sample: bool) -> None:
    x, y = torch.randn(6, 8, 16), torch.randn(6, 8, 16)
    assert float(attention_distance(x, x, per_sample=per_sample)) < 1e-6
    assert 0 < float(attention_distance(x, y, per_sample=per_sample)) <= math.sqrt(2)
    one, other = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    one[0, 0, 0], other[0, 1, 1] = 3.0, 5.0
    assert float(attention_distance(one, other)) == pytest.approx(math.sqrt(2))


def test_distance_of_a_sample_ignores_the_rest_of_the_batch() -> None:
    x, y = torch.randn(4, 8, 16), torch.randn(4, 8, 16)
    each = [float(attention_distance(x[i : i + 1], y[i : i + 1])) for i in range(4)]
    assert float(attention_distance(x, y)) == pytest.approx(np.mean(each), rel=1e-5)


def test_emphasis_is_high_band_plus_map_each_over_its_deviation() -> None:
    x = torch.randn(2, 8, 16)
    high = haar_high(x)
    expected = torch.stack([high[i] / high[i].std() + x[i] / x[i].std() for i in range(2)])
    torch.testing.assert_close(emphasise(x), expected)


def test_logit_loss_is_zero_for_equal_scores() -> None:
    scores = torch.randn(5, 10)
    assert float(logit_loss(scores, scores, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(logit_loss(scores, torch.randn(5, 10), 2.0)) > 0


def test_hed_sums_over_the_blocks_that_ran() -> None:
    maps = {block: torch.randn(2, 8, 16) for block in range(8)}
    student = {3: torch.randn(2, 8, 16), 7: torch.randn(2, 8, 16)}
    total = sum(float(attention_distance(student[b], maps[b])) for b in (3, 7))
    assert float(hed_loss(student, maps)) == pytest.approx(total, rel=1e-6)


def test_teacher_is_frozen_and_depths_are_weighted() -> None:
    torch.manual_seed(0)
    spec = NetSpec(name="bifsmn-teacher", binarizer="full", depths=1, slopes="layer", dropout=0.2)
    teacher = freeze(NETS[spec.name](spec, 32, 32, 5))
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    net = NETS["bifsmn"](NetSpec(), 32, 32, 5)
    net.train()
    features, labels = torch.randn(8, 32, 32) * 15 - 40, torch.randint(0, 5, (8,))
    with torch.no_grad():
        batch = Batch(features, labels, teacher(features))
    distill = Distill("teacher", logits=0.5, hed=0.01)
    full, _ = batch_loss(net, batch, Optim(depth_weights=(1.0, 0, 0, 0)), distill, teacher)
    half, _ = batch_loss(net, batch, Optim(depth_weights=(0, 1.0, 0, 0)), distill, teacher)
    both, hits = batch_loss(net, batch, Optim(depth_weights=(1.0, 0.5, 0, 0)), distill, teacher)
    both.backward()
    assert both.item() == pytest.approx((full + 0.5 * half).item(), rel=1e-4)
    assert len(hits) == 4
    assert not teacher.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_rare_classes_are_not_held_down() -> None:
    labels, repeats = np.array([0, 0, 1]), np.array([1, 2, 1])
    split = Split(np.zeros((3, 1, 32, 32), np.float16), labels, repeats, [""] * 3, [])
    assert class_prior(split, 2, 0.0) is None
    prior = class_prior(split, 2, 1.0)
    assert prior is not None
    torch.testing.assert_close(prior.exp(), torch.tensor([0.75, 0.25]))
    half = class_prior(split, 2, 0.5)
    torch.testing.assert_close(half, 0.5 * prior)
    torch.manual_seed(0)
    net = NETS["bifsmn"](NetSpec(depths=1), 32, 32, 2).train()
    batch = Batch(torch.randn(4, 32, 32), torch.tensor([0, 1, 0, 1]), None)
    loss, _ = batch_loss(net, batch, Optim(), Distill(), prior=prior)
    scores = net(batch.features) + prior
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, batch.labels))
