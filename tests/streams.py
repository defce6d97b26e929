"""What the tests of streams share: a model, audio, and how scans are compared."""

from __future__ import annotations

from functools import cache
from typing import Any

import model_factory
import numpy as np
from hypothesis import settings

import bifast
from bifast.format import FRONTEND_PAPER

Array = np.ndarray[Any, np.dtype[Any]]
FEW = settings(max_examples=min(40, settings().max_examples))
WINDOW = FRONTEND_PAPER.window_samples
FRAME = FRONTEND_PAPER.hop
# Where a snapshot has its position.
POSITION_AT = 56


@cache
def load(isa: str | None = None) -> bifast.Model:
    return bifast.Model.load(model_factory.bifsmn(6).to_bytes(), isa=isa)


def noise(size: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-9000, 9000, size, dtype=np.int16)


AUDIO = noise(WINDOW * 3 + 1234)


def streamed(stream: bifast.Stream, x: Array, cuts: list[int]) -> bifast.Scan:
    """Push the pieces between the cuts and flush."""
    return bifast.Scan.join([*(stream.push(p) for p in np.split(x, sorted(cuts))), stream.flush()])


def assert_same(a: bifast.Scan, b: bifast.Scan) -> None:
    np.testing.assert_array_equal(a.starts, b.starts)
    np.testing.assert_array_equal(a.logits.view(np.uint32), b.logits.view(np.uint32))
