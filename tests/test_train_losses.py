"""Distillation: the Haar closed form, the distance's bounds, and a teacher that stays as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast.train.batches import Batch
from bifast.train.data.features import Split
from bifast.train.losses import FEATURE_LOSSES, MapOptions, logit_loss
from bifast.train.losses.attention import attention_distance
from bifast.train.losses.fid import bands
from bifast.train.losses.haar import haar_high, haar_low
from bifast.train.losses.hed import emphasise
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.objective import batch_loss, class_prior, feature_weights, scores_are_fixed
from bifast.train.recipe import Distill, Optim
from bifast.train.teach import freeze

torch.set_num_threads(1)
OURS = MapOptions()


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
    with pytest.raises(ValueError, match="even sizes"):
        haar_low(torch.zeros(1, 4, 3))


def test_haar_over_time_does_not_mix_channels() -> None:
    x = torch.randn(2, 8, 5)
    pairs = (x[:, 0::2] + x[:, 1::2]) / 2
    expected = torch.stack([pairs, pairs], 2).flatten(1, 2)
    torch.testing.assert_close(haar_low(x, time_only=True), expected)
    one = torch.zeros(1, 4, 4)
    one[0, 0, 2] = 1.0
    assert torch.count_nonzero(haar_high(one, time_only=True)[..., [0, 1, 3]]) == 0
    assert torch.count_nonzero(haar_high(one)[..., 3]) == 2


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
    torch.testing.assert_close(emphasise(x, OURS), expected)


def test_batch_wide_distance_is_that_of_one_flat_map() -> None:
    x, y = torch.randn(4, 8, 16), torch.randn(4, 8, 16)
    q = [(z.square() / z.square().norm()).flatten() for z in (x, y)]
    expected = (q[0] - q[1]).norm()
    got = attention_distance(x, y, per_sample=False)
    torch.testing.assert_close(got, expected)
    assert abs(float(got - attention_distance(x, y))) > 1e-4


@pytest.mark.parametrize("name", FEATURE_LOSSES.names())
@pytest.mark.parametrize("time_only", [False, True])
def test_loss_on_features_is_bounded_and_has_finite_gradients(name: str, time_only: bool) -> None:
    loss, options = FEATURE_LOSSES[name], MapOptions(time_only=time_only)
    x, y = torch.randn(6, 8, 16, requires_grad=True), torch.randn(6, 8, 16)
    value = loss.distance(x, loss.prepare(y, options), options)
    assert 0 < float(value.detach()) <= 2 * math.sqrt(2)
    value.backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert name in {field for field in Distill.__dataclass_fields__}


def test_fid_is_both_bands_and_zero_for_equal_maps() -> None:
    fid, x, y = FEATURE_LOSSES["fid"], torch.randn(3, 8, 16), torch.randn(3, 8, 16)
    assert float(fid.distance(x, fid.prepare(x, OURS), OURS)) < 1e-6
    expected = sum(
        float(attention_distance(a, b))
        for a, b in ((haar_low(x), haar_low(y)), (haar_high(x), haar_high(y)))
    )
    got = float(fid.distance(x, fid.prepare(y, OURS), OURS))
    assert got == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(sum(bands(x, OURS)), x)


def test_rbd_is_the_distance_of_the_maps_themselves() -> None:
    rbd, x, y = FEATURE_LOSSES["rbd"], torch.randn(3, 8, 16), torch.randn(3, 8, 16)
    assert float(rbd.distance(x, rbd.prepare(y, OURS), OURS)) == float(attention_distance(x, y))


def test_logit_loss_is_zero_for_equal_scores() -> None:
    scores = torch.randn(5, 10)
    assert float(logit_loss(scores, scores, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(logit_loss(scores, torch.randn(5, 10), 2.0)) > 0


def test_loss_sums_over_the_blocks_that_ran() -> None:
    hed = FEATURE_LOSSES["hed"]
    maps = {block: (torch.randn(2, 8, 16),) for block in range(8)}
    student = {3: torch.randn(2, 8, 16), 7: torch.randn(2, 8, 16)}
    total = sum(float(attention_distance(student[b], maps[b][0])) for b in (3, 7))
    assert float(hed.total(student, maps, OURS)) == pytest.approx(total, rel=1e-6)


def a_teacher(dropout: float = 0.2) -> KeywordNet:
    torch.manual_seed(0)
    spec = NetSpec(
        name="bifsmn-teacher", binarizer="full", depths=1, slopes="layer", dropout=dropout
    )
    return NETS[spec.name](spec, 32, 32, 5)


def a_student() -> KeywordNet:
    torch.manual_seed(1)
    net = NETS["bifsmn"](NetSpec(), 32, 32, 5)
    net.train()
    return net


def a_batch(teacher: KeywordNet | None = None) -> Batch:
    torch.manual_seed(2)
    features, labels = torch.randn(8, 32, 32) * 15 - 40, torch.randint(0, 5, (8,))
    with torch.no_grad():
        taught = teacher(features) if teacher else None
        return Batch(features, labels, taught, np.arange(labels.numel()))


def value(distill: Distill, teacher: KeywordNet | None, weights: tuple[float, ...]) -> float:
    batch = a_batch(teacher if scores_are_fixed(distill) else None)
    torch.manual_seed(3)
    loss, _ = batch_loss(a_student(), batch, Optim(depth_weights=weights), distill, teacher)
    return float(loss.detach())


FULL, HALF = (1.0, 0, 0, 0), (0, 1.0, 0, 0)


def test_teacher_is_frozen_and_depths_are_weighted() -> None:
    teacher = freeze(a_teacher())
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    distill = Distill("teacher", logits=0.5, hed=0.01)
    net, batch = a_student(), a_batch(teacher)
    both, hits = batch_loss(net, batch, Optim(depth_weights=(1.0, 0.5, 0, 0)), distill, teacher)
    both.backward()
    parts = value(distill, teacher, FULL) + 0.5 * value(distill, teacher, HALF)
    assert both.item() == pytest.approx(parts, rel=1e-4)
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
    batch = Batch(torch.randn(4, 32, 32), torch.tensor([0, 1, 0, 1]), None, np.arange(4))
    loss, _ = batch_loss(net, batch, Optim(), Distill(), prior=prior)
    scores = net(batch.features) + prior
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, batch.labels))


def test_teacher_in_training_mode_drifts_and_answers_otherwise() -> None:
    teacher = freeze(a_teacher(), training=True)
    before = teacher.blocks[0].memory.norm.mean.clone()
    still, restless = (Distill("teacher", mse=1.0, teacher_mode=m) for m in ("eval", "train"))
    assert not scores_are_fixed(restless)
    moved = value(restless, teacher, FULL)
    assert not torch.equal(teacher.blocks[0].memory.norm.mean, before)
    assert all(p.grad is None for p in teacher.parameters())
    assert moved != value(still, freeze(a_teacher()), FULL)


def test_losses_add_up_with_their_weights() -> None:
    teacher = freeze(a_teacher())
    plain = value(Distill(), None, FULL)
    parts = {
        name: value(Distill("teacher", **{name: 0.5}), teacher, FULL) - plain
        for name in ("mse", "hed", "fid", "rbd")
    }
    assert min(parts.values()) > 0
    together = value(Distill("teacher", **dict.fromkeys(parts, 0.5)), teacher, FULL)
    assert together - plain == pytest.approx(sum(parts.values()), rel=1e-4)
    twice = value(Distill("teacher", fid=1.0), teacher, FULL)
    assert twice - plain == pytest.approx(2 * parts["fid"], rel=1e-4)
    assert feature_weights(Distill(hed=0.5, rbd=2.0)) == {"hed": 0.5, "rbd": 2.0}


def test_full_depth_teaches_the_thin_ones_and_learns_nothing_from_them() -> None:
    teach = Distill(in_place=1.0, temperature=2.0)
    assert value(teach, None, FULL) == value(Distill(), None, FULL)
    net, batch = a_student(), a_batch()
    with torch.no_grad():
        stream = net.features(batch.features)
        full, half = (net.backbone(stream, d)[0] for d in (0, 1))
    expected = float(logit_loss(half, full, 2.0))
    assert value(teach, None, HALF) == pytest.approx(expected, rel=1e-4)
    net = a_student()
    loss, _ = batch_loss(net, a_batch(), Optim(depth_weights=HALF), teach)
    loss.backward()
    # Block 0 runs at full depth alone.
    moved = [torch.count_nonzero(block.expand.weight.grad) > 0 for block in net.blocks[:2]]
    assert moved == [False, True]
