"""A word of one's own on a trained model, from a few recordings, in NumPy alone."""

from __future__ import annotations

from bifast.enroll.learn import FEWEST, MOST, Enrolled, enroll
from bifast.enroll.negatives import Negative, recorded, shipped
from bifast.enroll.recording import RefusedError

__all__ = [
    "FEWEST",
    "MOST",
    "Enrolled",
    "Negative",
    "RefusedError",
    "enroll",
    "recorded",
    "shipped",
]
