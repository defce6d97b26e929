"""Exact confidence intervals for counts: of events in some hours, and of hits among trials."""

from __future__ import annotations

import math
from collections.abc import Callable

# Bisections of an interval of floats: more change nothing.
_STEPS = 200


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean number of events of which `count` were seen.

    Parameters
    ----------
    count
        Events, 0 or more. Divide the interval by the hours to have events per hour.
    level
        Confidence, between 0 and 1.

    Returns
    -------
    tuple[float, float]
        Garwood's exact interval (Biometrika 28, 1936). Where nothing was seen it is one-sided: 0 events
        in 2 hours mean fewer than 1.5 an hour at 95 %.

    Raises
    ------
    ValueError
        If the count is negative, or the level out of range.
    """
    if count < 0:
        raise ValueError(f"count: expected 0 or more, got {count}")
    tail = _tail(level, one_sided=count == 0)
    # Far beyond any mean under which so few events are likely.
    most = count + 40 + 10 * math.sqrt(count + 1)
    low = 0.0
    if count:
        low = _solve(lambda mean: 1 - _poisson_cdf(count - 1, mean) < tail, 0.0, most)
    return low, _solve(lambda mean: _poisson_cdf(count, mean) > tail, 0.0, most)


def binomial_interval(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the probability of which `hits` of `trials` were seen.

    Returns
    -------
    tuple[float, float]
        The exact interval of Clopper and Pearson (Biometrika 26, 1934), one-sided where there was no
        hit or no miss.

    Raises
    ------
    ValueError
        If not 0 <= hits <= trials and 1 <= trials, or the level is out of range.
    """
    if not (0 <= hits <= trials and trials >= 1):
        raise ValueError(f"hits: expected 0 .. {trials} of at least 1 trial, got {hits}")
    tail = _tail(level, one_sided=hits in (0, trials))
    low, high = 0.0, 1.0
    if hits:
        low = _solve(lambda p: 1 - _binomial_cdf(hits - 1, trials, p) < tail, 0.0, 1.0)
    if hits < trials:
        high = _solve(lambda p: _binomial_cdf(hits, trials, p) > tail, 0.0, 1.0)
    return low, high


def _tail(level: float, *, one_sided: bool) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level: expected between 0 and 1, got {level}")
    return (1 - level) if one_sided else (1 - level) / 2


def _solve(below: Callable[[float], bool], low: float, high: float) -> float:
    """Return where `below`, True on the left and False on the right, changes."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _poisson_cdf(count: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    log = math.log(mean)
    terms = (math.exp(k * log - mean - math.lgamma(k + 1)) for k in range(count + 1))
    return min(1.0, math.fsum(terms))


def _binomial_cdf(hits: int, trials: int, p: float) -> float:
    if not 0 < p < 1:
        return 1.0 if p <= 0 or hits >= trials else 0.0
    whole, yes, no = math.lgamma(trials + 1), math.log(p), math.log1p(-p)
    terms = (
        math.exp(
            whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * yes + (trials - k) * no
        )
        for k in range(hits + 1)
    )
    return min(1.0, math.fsum(terms))
