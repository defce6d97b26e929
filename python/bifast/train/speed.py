"""Time of the net alone in the engine: features of one clip to scores, on one thread."""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from bifast.model import Model

# A depth's calls are spread over rounds, so that a busy moment of the machine meets all depths.
ROUNDS, CALLS = 50, 10


def net_nanoseconds(model: Model, features: NDArray[np.float32]) -> dict[str, int]:
    """Return {depth: median time of a clip in ns}, for features of one clip [T, M]."""
    times: dict[str, list[float]] = {depth: [] for depth in model.depths}
    for _ in range(ROUNDS):
        for depth, seen in times.items():
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                model.run_features(features, depth=depth)
            seen.append((time.perf_counter_ns() - start) / CALLS)
    return {depth: round(statistics.median(seen)) for depth, seen in times.items()}
