"""Hop and depth for a share of the processor."""

from __future__ import annotations

from typing import Any

import pytest

import bifast
from bifast import budget

COSTS = {"full": 3.0, "auto": 2.0, "half": 1.5, "eighth": 1.0}


def taken(hop: float, depth: str) -> float:
    return 0.01 * (0.5 + COSTS[depth] * 0.25 / hop)


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
    plan = budget.choose(share, 0.25, list(COSTS), taken)
    assert plan == (hop, depth, taken(hop, depth))


def test_what_does_not_fit_is_told_with_the_least() -> None:
    with pytest.raises(ValueError, match=r"at least 0.0075, .* got 0.005"):
        budget.choose(0.005, 0.25, list(COSTS), taken)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="above 0, up to 1"):
        budget.choose(share, 0.25, list(COSTS), taken)


def test_a_cascade_comes_behind_the_deepest() -> None:
    assert budget.order(("full", "half"), has_cascade=True) == ["full", "auto", "half"]
    assert budget.order(("full", "half"), has_cascade=False) == ["full", "half"]


def test_a_stream_tells_what_was_taken() -> None:
    model = bifast.Model.load("bifsmn")
    with model.stream(max_cpu=1.0) as stream:
        assert (stream.depth, stream.hop) == ("full", 0.256)
    with model.listen(max_cpu=1.0) as listener:
        assert listener.stream.depth == "full"
    bad: Any = "much"
    with pytest.raises(TypeError, match="max_cpu: expected a number, got str"):
        model.stream(max_cpu=bad)
    with pytest.raises(ValueError, match="hop: expected a positive number"):
        model.stream(hop=-1.0, max_cpu=0.5)
