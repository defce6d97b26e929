"""Results that are computed once and kept in a file; safe where two trainings start at once."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.train.lock import locked

Arrays = dict[str, NDArray[Any]]


def cached(
    path: Path, compute: Callable[[], Arrays], wait: Callable[[Callable[[], None]], None]
) -> Arrays:
    """Return the arrays of a file; compute and keep them if it is missing or damaged.

    Parameters
    ----------
    path
        A `.npz` file. It is written beside its place and renamed, so it is there whole or not at all.
    compute
        Makes the arrays; runs in one process at a time for the same path.
    wait
        Called with a function that blocks while another process computes them, to tell about it.
    """
    found = _read(path)
    if found is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock"), wait):
            found = _read(path)  # another process may have made it meanwhile
            if found is None:
                found = compute()
                _write(path, found)
    return found


def write_beside(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file of its own beside `path` and rename it over `path`; errors name `path`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:  # of a full disk it names no file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    # The stub of savez reads a dictionary of arrays as its flag.
    write_beside(path, lambda beside: np.savez(beside, **arrays))  # type: ignore[arg-type]
