"""pytest plugin for slow emulators: of tests with many cases keep every BIFAST_SAMPLE-th.

Use: PYTHONPATH=tools BIFAST_SAMPLE=5 pytest -p pytest_sample
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

MANY = 24


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect cases, evenly over each test's list."""
    step = int(os.environ.get("BIFAST_SAMPLE", "1"))
    cases = Counter(item.nodeid.partition("[")[0] for item in items)
    seen: Counter[str] = Counter()
    kept, left_out = [], []
    for item in items:
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        sampled = cases[test] <= MANY or seen[test] % step == 0
        (kept if sampled else left_out).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
