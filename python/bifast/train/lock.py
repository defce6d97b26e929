"""Locks between processes on a file; the system takes one back when its process ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes may do the same work, each whole file wins
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, wait: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be.

    `wait` is called with a function that blocks while another process holds it, to tell about it.
    """
    with path.open("a") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait(lambda: fcntl.flock(file, fcntl.LOCK_EX))
        yield


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Try to hold the lock of a file, which is made if need be; yields whether it is held."""
    with path.open("a") as file:
        free = True
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free
