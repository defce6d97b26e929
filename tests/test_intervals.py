"""Exact intervals: published values, and the property that defines them."""

from __future__ import annotations

import math

import pytest

from bifast.intervals import binomial_interval, poisson_interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Garwood's table, 95 %, two-sided.
    [
        (1, 0.0253, 5.572),
        (2, 0.242, 7.225),
        (5, 1.623, 11.668),
        (10, 4.795, 18.39),
        (50, 37.11, 65.92),
    ],
)
def test_poisson_interval_is_garwoods(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=2e-3)


def test_nothing_seen_gives_the_rule_of_three() -> None:
    low, high = poisson_interval(0)
    assert low == 0
    assert high == pytest.approx(-math.log(0.05))
    assert round(high / 2, 1) == 1.5  # 0 in 2 hours
    assert binomial_interval(0, 30) == pytest.approx((0, 1 - 0.05 ** (1 / 30)))
    assert binomial_interval(30, 30) == pytest.approx((0.05 ** (1 / 30), 1))


def test_binomial_interval_is_clopper_and_pearsons() -> None:
    assert binomial_interval(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert binomial_interval(1, 20) == pytest.approx((0.00127, 0.24873), abs=1e-5)
    low, high = binomial_interval(900, 1000)
    assert (low, high) == pytest.approx((0.8797, 0.9179), abs=2e-4)


def test_ends_put_the_tail_beyond_what_was_seen() -> None:
    low, high = poisson_interval(3, 0.9)
    above = 1 - sum(math.exp(-low) * low**k / math.factorial(k) for k in range(3))
    below = sum(math.exp(-high) * high**k / math.factorial(k) for k in range(4))
    assert (above, below) == pytest.approx((0.05, 0.05))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="count: expected 0 or more"):
        poisson_interval(-1)
    with pytest.raises(ValueError, match=r"hits: expected 0 \.\. 5"):
        binomial_interval(6, 5)
    with pytest.raises(ValueError, match="level"):
        poisson_interval(1, 1.0)
