"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk and rename it over `path`.

    Whatever fails, the earlier file stays as it was and nothing is left beside it.

    Raises
    ------
    OSError
        If it can not be written, or `path` is a device or a pipe: a renamed file would take its place.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "expected a file or none, got a device or a pipe", str(path))
    beside = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:  # of a full disk it names no file, of others the one beside
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
