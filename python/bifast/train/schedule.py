"""Learning rate: a linear rise, then half a cosine down to zero."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the learning rate at `step` of `steps`, 0 .. 1.

    A function of the step alone, so a resumed run needs no scheduler state but its step.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
