"""CIFAR's Python batches: pickles of one dictionary, read without running what a pickle could run."""

from __future__ import annotations

import codecs
import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What reading a damaged pickle may raise.
_DAMAGED = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class _Dtype:
    """Stands for a numpy.dtype: keeps its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("ascii") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and the like: there is none in bytes."""


class _Array:
    """Stands for a numpy.ndarray: takes shape, type and bytes."""

    values: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        """Read (version, shape, dtype, is Fortran order, bytes)."""
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or dtype.name != "u1" or fortran:
            raise pickle.UnpicklingError("expected an array of unsigned bytes, row by row")
        self.values = np.frombuffer(data, np.uint8).reshape(shape)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


# All that the batches name; anything else in a pickle is refused.
_ALLOWED = {
    ("_reconstruct", "multiarray"): _reconstruct,
    ("ndarray", "numpy"): _Array,
    ("dtype", "numpy"): _Dtype,
    ("encode", "_codecs"): codecs.encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name."""
        try:
            return _ALLOWED[name, module.rpartition(".")[2]]
        except KeyError:
            raise pickle.UnpicklingError(f"names {module}.{name}, which no batch does") from None


def read_batch(data: bytes, side: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Read a batch.

    Parameters
    ----------
    data
        The file: a pickle of Python 2 or 3 with `data`, bytes of red, green and blue planes, and `labels`.
    side
        Height and width of the images.

    Returns
    -------
    images, labels
        [N, side, side, 3] uint8, and N numbers of classes.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        table = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        keys = {k.decode("ascii") if isinstance(k, bytes) else k: v for k, v in table.items()}
        planes, labels = keys["data"], [int(label) for label in keys["labels"]]
        images = planes.values.reshape(len(labels), 3, side, side)
    except _DAMAGED as error:
        raise ValueError(f"no batch of {side} x {side} images: {error!r}") from None
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels
