"""Checks of what callers hand to a model; every error names what was wrong and what to do.

Values are the engine's to check: it does so on its way through them (csrc/api.cpp).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Real
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bifast.names import unknown

Value = TypeVar("Value", bound=np.generic)
Samples = NDArray[np.float32] | NDArray[np.int16]

MAX_THREADS = 256


def samples(x: Samples, *, ranks: tuple[int, ...]) -> Samples:
    """Check a waveform and return it C-contiguous.

    Parameters
    ----------
    x
        Shape (S,) or (B, S), as `ranks` allows; float32 in [-1, 1] or int16; S, B >= 1.
    ranks
        The numbers of dimensions that the caller takes.

    Raises
    ------
    TypeError
        If x is no NumPy array.
    ValueError
        If its dtype or rank is another, or it is empty.
    """
    _check_array(x, "samples", (np.float32, np.int16))
    if x.ndim not in ranks:
        forms = " or ".join({1: "[samples]", 2: "[clips, samples]"}[rank] for rank in ranks)
        raise ValueError(f"samples: expected shape {forms}, got shape {x.shape}{_rank_advice(x)}")
    if x.size == 0:
        raise ValueError(f"samples: expected at least one, got shape {x.shape}")
    return x if x.flags.c_contiguous else x.copy(order="C")


AXES = {"features": "frames, bands, channels", "images": "height, width, channels"}


def features(
    f: NDArray[Value],
    shape: tuple[int, int, int],
    *,
    what: str = "features",
    dtype: type[np.generic] = np.float32,
) -> tuple[NDArray[Value], bool]:
    """Check features of one clip or a batch, or images.

    Parameters
    ----------
    f
        Shape (T, M, C) or (B, T, M, C); C may be left out where it is 1.
    shape
        The model's (T, M, C).
    what
        "features" or "images", for messages.
    dtype
        What the model takes: float32 or uint8.

    Returns
    -------
    tuple[NDArray[np.float32], bool]
        Shape (B, T, M, C), C-contiguous; whether f was one clip without a batch in front.

    Raises
    ------
    TypeError
        If f is no NumPy array.
    ValueError
        If its dtype or shape is another, or B is 0.
    """
    _check_array(f, what, (dtype,))
    forms = (shape, shape[:2]) if shape[2] == 1 else (shape,)
    for form in forms:
        if f.shape == form or (f.ndim == len(form) + 1 and f.shape[1:] == form):
            if f.size == 0:
                raise ValueError(f"{what}: expected at least one clip, got shape {f.shape}")
            return np.ascontiguousarray(f.reshape(-1, *shape)), f.ndim == len(form)
    texts = [str(list(form)) for form in forms]
    raise ValueError(
        f"{what}: expected shape {' or '.join(texts)} ({AXES[what]}), with or without "
        f"a batch in front, got shape {f.shape}{_order_advice(f, shape)}"
    )


def depth_index(name: str, depths: Sequence[str]) -> int:
    """Return the index of a depth; ValueError that lists the names if there is none."""
    if name not in depths:
        raise ValueError(unknown("depth", name, depths))
    return depths.index(name)


def number(what: str, value: float) -> float:
    """Check that a setting is a number; TypeError that names it otherwise."""
    if not isinstance(value, Real):
        raise TypeError(f"{what}: expected a number, got {type(value).__name__}")
    return value


def whole(what: str, value: int) -> int:
    """Check that a setting is a whole number; TypeError that names it otherwise."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what}: expected a whole number, got {type(value).__name__}") from None


def thread_count(threads: int) -> int:
    """Check a number of threads; TypeError if it is no integer, ValueError if out of range."""
    count = whole("threads", threads)
    if not 1 <= count <= MAX_THREADS:
        raise ValueError(f"threads: expected 1 .. {MAX_THREADS}, got {count}")
    return count


def _check_array(x: object, what: str, dtypes: tuple[type, ...]) -> None:
    """Refuse what is no array, or of another dtype: casts are the caller's to write."""
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"{what}: expected a NumPy array, got {type(x).__name__}; "
            "write numpy.asarray(x, dtype=numpy.float32)"
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what}: expected values, got a masked array; fill it first: x.filled(0)")
    if x.dtype not in dtypes:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        advice = f"write x.astype(numpy.{np.dtype(dtypes[0]).name})"
        if what == "images":
            advice += ", scaled as for the training"
        if x.dtype.newbyteorder("=") in dtypes:
            advice = "it has the other byte order; write x.astype(x.dtype.newbyteorder('='))"
        elif x.dtype.kind in "iu" and what == "samples":
            advice += ", scaled to [-1, 1]"
        raise ValueError(f"{what}: expected dtype {names}, got {x.dtype}; {advice}")


def _order_advice(f: NDArray[np.generic], shape: tuple[int, int, int]) -> str:
    """Guess at the cause of a wrong shape."""
    if f.ndim in (3, 4) and f.shape[-3:] == (shape[2], *shape[:2]):
        axes = "1, 2, 0" if f.ndim == 3 else "0, 2, 3, 1"
        return f": channels first; write x.transpose({axes})"
    if f.ndim == 1 or (f.ndim == 2 and shape[2] > 1):
        return "; this model has no front-end and takes no sound"
    return ""


def _rank_advice(x: NDArray[np.generic]) -> str:
    """Guess at the cause of a wrong rank."""
    if x.ndim == 2:
        return "; give one clip, or take one channel: x[:, 0]"
    return ""
