"""Depth `auto`: which depth scores a window, with the bits that it gives, and how it is counted."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import conftest
import model_factory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bifast
from bifast import cli, shipped
from bifast.format import FRONTEND_PAPER, Level, ModelFile
from bifast.tune import margins

Array = np.ndarray[Any, np.dtype[Any]]
FEW = settings(max_examples=min(30, settings().max_examples))
FRAME = FRONTEND_PAPER.hop
AUDIO = np.random.default_rng(5).integers(-9000, 9000, 16000 * 3, dtype=np.int16)
DEPTHS = ("full", "half", "quarter", "eighth")


@cache
def plain() -> ModelFile:
    """Labels 0 and 1 are no words."""
    file = model_factory.bifsmn(6)
    words = [None, None, *(bifast.Word() for _ in file.labels[2:])]
    return replace(file, words=words)


def with_levels(*levels: tuple[float, float] | None, isa: str | None = None) -> bifast.Model:
    """A cascade whose levels are the quantiles `levels` of the leads at each depth, deepest first."""
    file = plain()
    found: list[Level | None] = [Level(0.0, 0.0)]
    for depth, level in zip(DEPTHS[1:], levels, strict=True):
        leads, word = all_leads(depth)
        found.append(
            level and Level(quantile(leads[word], level[0]), quantile(leads[~word], level[1]))
        )
    return bifast.Model.load(replace(file, cascade=found).to_bytes(), isa=isa)


@cache
def all_leads(depth: str) -> tuple[Array, Array]:
    """Leads of windows a frame apart, and whether they are of words."""
    model = bifast.Model.load(plain().to_bytes())
    return leads_of(model.scan(AUDIO, hop=FRAME / 16000, depth=depth).logits, words())


def quantile(leads: Array, share: float) -> float:
    return float(np.quantile(leads, share, method="lower")) if len(leads) else 1.0


def words() -> Array:
    return np.array([word is not None for word in plain().words])


def leads_of(logits: Array, is_word: Array) -> tuple[Array, Array]:
    """How far the best label of each row leads over its rivals, and whether it is a word."""
    best = logits.argmax(axis=1)
    rows = np.arange(len(logits))
    word = is_word[best]
    rivals = np.where(word[:, None] | is_word, logits, -np.inf)
    rivals[rows, best] = -np.inf
    return logits[rows, best] - rivals.max(axis=1), word


def expected_depths(model: bifast.Model, is_word: Array, hop: float) -> Array:
    """The first depth, from the shallowest on, that is sure of each window."""
    cascade = ModelFile.from_bytes(model.to_bytes()).cascade
    chosen: Array | None = None
    for index, level in enumerate(cascade):
        if level is None:
            continue
        leads, word = leads_of(model.scan(AUDIO, hop=hop, depth=DEPTHS[index]).logits, is_word)
        margins = np.where(word, np.float32(level.word), np.float32(level.other))
        chosen = np.where(leads >= margins, index, 0 if chosen is None else chosen)
    assert chosen is not None
    return chosen


@pytest.mark.parametrize("name", bifast.isas())
@FEW
@given(
    quantiles=st.tuples(*[st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1))] * 3),
    step=st.integers(1, 33),
    chunk=st.integers(100, 20000),
)
def test_auto_gives_the_bits_of_the_first_depth_that_is_sure(
    name: str, quantiles: tuple[Any, ...], step: int, chunk: int
) -> None:
    model, hop = with_levels(*quantiles, isa=name), step * FRAME / 16000
    scan = model.scan(AUDIO, hop=hop, depth="auto")
    np.testing.assert_array_equal(scan.depth_index, expected_depths(model, words(), hop))
    for index, depth in enumerate(DEPTHS):
        at = scan.depth_index == index
        alone = model.scan(AUDIO, hop=hop, depth=depth)
        np.testing.assert_array_equal(scan.logits[at], alone.logits[at])
    with model.stream(hop=hop, depth="auto") as stream:
        cuts = range(chunk, len(AUDIO), chunk)
        parts = [*(stream.push(piece) for piece in np.split(AUDIO, cuts)), stream.flush()]
        cut = bifast.Scan.join(parts)
        counts = np.bincount(scan.depth_index, minlength=4)
        assert stream.scored == dict(zip(DEPTHS, counts.tolist(), strict=True))
    np.testing.assert_array_equal(cut.logits, scan.logits)
    np.testing.assert_array_equal(cut.depth_index, scan.depth_index)


def test_a_lone_clip_has_the_scores_of_run_at_the_depth_that_was_chosen() -> None:
    model = with_levels((0.5, 0.5), None, (0.5, 0.5))
    for first in range(0, 32000, 4000):
        clip = AUDIO[first : first + 16000]
        scan = model.scan(clip, depth="auto")
        depth = DEPTHS[scan.depth_index[0]]
        np.testing.assert_array_equal(scan.logits[0], model.run(clip, depth=depth))


def test_only_words_that_are_listened_for_are_looked_at_twice() -> None:
    model = with_levels((0.5, 0.5), (0.5, 0.5), (1.0, 0.5))
    with model.stream(depth="auto") as stream:
        stream.set_words(["label2"])
        chosen = stream.push(AUDIO).depth_index
    flags = np.array([label == "label2" for label in model.labels])
    expected = expected_depths(model, flags, 0.25)[: len(chosen)]
    np.testing.assert_array_equal(chosen, expected)
    with model.listen({"label2": None}, depth="auto") as listener:
        listener.push(AUDIO)
        np.testing.assert_array_equal(listener.last.depth_index, expected)
    with model.stream(depth="auto") as stream, pytest.raises(ValueError, match="unknown word"):
        stream.set_words(["computer"])


@pytest.mark.parametrize("step", [8, 40])
def test_cost_is_the_work_of_the_depths_that_were_tried(step: int) -> None:
    model, hop = with_levels((0.5, 0.5), None, (0.5, 0.5)), step * FRAME / 16000
    with model.stream(hop=hop, depth="auto") as stream:
        assert (stream.cost, set(stream.shares.values())) == (0.0, {0.0})
        depth = stream.push(AUDIO).depth_index
        cost, shares = stream.cost, stream.shares
    counts = np.bincount(depth, minlength=4)
    np.testing.assert_allclose(list(shares.values()), counts / len(depth))
    file = ModelFile.from_bytes(model.to_bytes())
    shared, own = margins.work_of(file)
    relative = margins.relative_work(depth, file.cascade, shared, own)
    if step > model.input_shape[0]:  # windows share no rows
        assert cost == pytest.approx(relative)
        return
    above = relative * (shared + own[0]) - shared  # work of the layers behind the shared ones
    left = (cost * own[0] - above) / (1 - cost)  # and what of the shared ones is left
    assert 0.1 * shared < left < 0.9 * shared


def test_cost_of_a_fixed_depth() -> None:
    model = bifast.Model.load(plain().to_bytes())
    costs = []
    for depth in DEPTHS:
        with model.stream(depth=depth) as stream:
            stream.push(AUDIO)
            costs.append(stream.cost)
            assert stream.shares[depth] == 1.0
    assert costs[0] == 1.0
    assert costs == sorted(costs, reverse=True)


def test_listen_tells_shares_and_cost(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "cascade.bifast"
    path.write_bytes(with_levels((0.5, 0.5), None, (0.5, 0.5)).to_bytes())
    command = ["listen", str(shipped.sentence()), "--model", str(path), "--depth", "auto"]
    assert cli.main([*command, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])["summary"]
    assert sum(summary["scored"].values()) == summary["windows"] > 20
    assert sum(summary["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert sum(share > 0 for share in summary["shares"].values()) > 1
    assert cli.main(command) == 0
    told = f"{100 * summary['cost']:.0f} % of the work at full depth"
    assert told in capsys.readouterr().err


def test_a_snapshot_goes_on_with_counts_and_words() -> None:
    model = with_levels((0.5, 0.5), None, (0.7, 0.4))
    with (
        model.stream(hop=0.1, depth="auto") as stream,
        model.stream(hop=0.1, depth="auto") as other,
    ):
        stream.push(AUDIO[:30000])
        data = stream.snapshot()
        rest = stream.push(AUDIO[30000:])
        other.restore(data)
        again = other.push(AUDIO[30000:])
        np.testing.assert_array_equal(again.logits, rest.logits)
        assert other.scored == stream.scored
        other.set_words(["label2"])
        with pytest.raises(ValueError, match="another words"):
            other.restore(data)
    with model.stream(hop=0.1) as fixed, pytest.raises(ValueError, match="another depth"):
        fixed.restore(data)


def test_a_fixed_depth_counts_its_windows_and_reset_forgets_them() -> None:
    model = bifast.Model.load(plain().to_bytes())
    with model.stream(depth="half") as stream:
        scan = stream.push(AUDIO)
        assert stream.scored == {"full": 0, "half": len(scan), "quarter": 0, "eighth": 0}
        assert set(scan.depth_index) == {1}
        stream.reset()
        assert sum(stream.scored.values()) == 0


@pytest.mark.parametrize("name", ["bifsmn", "bifast-kws"])
def test_shipped_models_with_depths_bring_a_cascade(name: str) -> None:
    model = bifast.Model.load(name)
    file = ModelFile.from_bytes(model.to_bytes())
    assert file.cascade, f"{name} was replaced: run tools/tune_shipped.sh"
    assert [w for w in model.labels if w not in ("unknown", "silence")] == list(model.words)
    assert set(model.words.values()) == {bifast.Word()}
    with model.listen(depth="auto") as listener:
        sentence = conftest.read_wav(shipped.sentence())  # words, one after the other
        events = listener.push(np.pad(sentence, 10 * listener.detector.sample_rate))
        stream = listener.stream
        assert len(events) >= 5
        assert 0 < stream.shares["full"] < 1
        assert stream.cost < 1


def test_auto_needs_a_cascade() -> None:
    model = bifast.Model.load(plain().to_bytes())
    with pytest.raises(ValueError, match="no cascade; `bifast tune`"):
        model.stream(depth="auto")


@FEW
@given(seed=st.integers(0, 50), step=st.integers(1, 6), causal=st.booleans())
def test_rows_that_stay_are_not_told_from_new_ones(seed: int, step: int, causal: bool) -> None:
    """Nets of other geometry: every window of a stream has the bits of its features alone."""
    frontend = replace(model_factory.SMALL_FRONTEND, center=not causal, window_samples=1500)
    file = model_factory.tuned(model_factory.random_net(seed, frontend=frontend))
    model = bifast.Model.load(file.to_bytes())
    x = AUDIO[:4000]
    frames = model.features(x)
    scan = model.scan(x, hop=step * model.hop / model.sample_rate, depth="auto")
    for start, index, logits in zip(scan.starts, scan.depth_index, scan.logits, strict=True):
        first = start // model.hop
        window = frames[first : first + model.input_shape[0]]
        np.testing.assert_array_equal(logits, model.run_features(window, depth=model.depths[index]))


def test_rows_are_kept_in_bounded_memory() -> None:
    """A small file can have many layers write one large buffer, and each has rows that stay."""
    frontend = replace(model_factory.SMALL_FRONTEND, window_samples=128 + 60 * 39)
    builder = model_factory.Builder(0, (40, 7, 1))
    wide = builder.buffer("f32", (40, 7, 8192))
    weights = builder.floats(8192)
    ones: dict[str, Any] = {"kernel": (1, 1), "stride": (1, 1), "dilation": (1, 1)}
    for layer in range(10):  # 9 MB each
        builder.add(f"wide{layer}", "conv2d", 0, out_f32=wide, weights=weights, **ones)
    pooled = builder.buffer("f32", (1, 1, 8192))
    builder.add("pool", "average_pool", wide, out_f32=pooled)
    model = bifast.Model.load(builder.model(pooled, 3, frontend).to_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream = model.stream(hop=60 / 8000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 66 << 10  # kilobytes
    scan = stream.push(AUDIO[: 128 + 60 * 41])
    frames = model.features(AUDIO[: 128 + 60 * 41])
    assert len(scan) == 3
    for first, logits in enumerate(scan.logits):
        np.testing.assert_array_equal(logits, model.run_features(frames[first : first + 40]))
