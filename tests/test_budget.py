"""Hop and depth for a share of the processor."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import model_factory
import pytest

import bifast
from bifast import budget

COSTS = {"full": 3.0, "auto": 2.0, "half": 1.5, "eighth": 1.0}


class Told:
    """Costs that are known; live they are `more` times what was estimated."""

    def __init__(self, more: float = 1.0) -> None:
        self.more = more
        self.lived: list[tuple[float, str]] = []

    def least(self, hop: float, depth: str) -> float:
        return 0.01 * (0.5 + COSTS[depth] * 0.25 / hop)

    def live(self, hop: float, depth: str) -> float:
        self.lived.append((hop, depth))
        return self.more * self.least(hop, depth)


@pytest.mark.parametrize(
    ("share", "hop", "depth"),
    [
        (1.0, 0.25, "full"),
        (0.035, 0.25, "full"),
        (0.034, 0.25, "auto"),
        (0.020, 0.25, "half"),
        (0.016, 0.25, "eighth"),
        (0.0149, 0.5, "half"),
        (0.0101, 0.5, "eighth"),
        (0.0076, 1.0, "eighth"),
    ],
)
def test_the_first_that_fits_is_taken(share: float, hop: float, depth: str) -> None:
    told = Told()
    plan = budget.choose(share, 0.25, list(COSTS), told)
    assert plan == (hop, depth, told.least(hop, depth))
    assert told.lived == [(hop, depth)]


def test_what_takes_more_live_than_was_estimated_is_passed_over() -> None:
    told = Told(more=1.5)
    plan = budget.choose(0.035, 0.25, list(COSTS), told)
    assert plan[:2] == (0.25, "half")
    assert plan.cpu == pytest.approx(1.5 * 0.02)
    assert told.lived == [(0.25, "full"), (0.25, "auto"), (0.25, "half")]


def test_what_does_not_fit_is_told_with_the_least() -> None:
    with pytest.raises(ValueError, match=r"at least 0.0075, .* got 0.005"):
        budget.choose(0.005, 0.25, list(COSTS), Told())


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="above 0, up to 1"):
        bifast.Model.load("bifsmn").stream(max_cpu=share)


def test_a_cascade_comes_behind_the_deepest() -> None:
    assert budget.order(("full", "half"), has_cascade=True) == ["full", "auto", "half"]
    assert budget.order(("full", "half"), has_cascade=False) == ["full", "half"]


def test_a_stream_tells_what_was_taken() -> None:
    model = bifast.Model.load("bifsmn")
    with model.stream(max_cpu=1.0) as stream:
        assert (stream.depth, stream.hop) == ("full", 0.256)
    with model.listen(max_cpu=1.0) as listener:
        assert listener.stream.depth == "full"
    for start in (model.stream, model.listen):
        with pytest.raises(ValueError, match=r"max_cpu: expected no depth beside it.*'half'"):
            start(max_cpu=1.0, depth="half")
    bad: Any = "much"
    with pytest.raises(TypeError, match="max_cpu: expected a number, got str"):
        model.stream(max_cpu=bad)
    with pytest.raises(ValueError, match="hop: expected a positive number"):
        model.stream(hop=-1.0, max_cpu=0.5)


def test_windows_may_be_longer_than_the_sentence() -> None:
    frontend = replace(model_factory.SMALL_FRONTEND, window_samples=100_000, hop=1000)
    net = model_factory.random_net(3, frontend=frontend)
    with bifast.Model.load(net.to_bytes()).stream(hop=1.0, max_cpu=1.0) as stream:
        assert stream.depth == "full"


class Counted:
    """A stream that counts the samples that are pushed."""

    def __init__(self) -> None:
        self.samples = 0

    def push(self, samples: Any) -> None:
        self.samples += len(samples)


@pytest.mark.parametrize(("hop", "hops"), [(0.25, 4), (0.3, 3), (1.6, 1)])
def test_whole_hops_are_measured(hop: float, hops: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    opened: list[Counted] = []

    def open_counted(hop: float, depth: str) -> Any:
        opened.append(Counted())
        return nullcontext(opened[-1])

    clock = budget.Clock(open_counted, 1000, 1000, "full", 4.0)
    clock.live(hop, "full")
    assert opened[-1].samples == 2000 + hops * 1000 * hop
    for longest in (hop, 4.0):
        clock.least(longest, "full")
        assert opened[-1].samples > 2000
        assert (opened[-1].samples - 2000) % (1000 * longest) == pytest.approx(0)
