"""Work that is spread over the cores, its results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fewer parts than this are done sooner than processes are started.
_WORTH_IT = 8

_worker: Any = None


@contextmanager
def spread(
    make_worker: Callable[[], Callable[[Item], Result]], items: Sequence[Item]
) -> Iterator[Iterator[Result]]:
    """Let processes, one for each core, work on items.

    Parameters
    ----------
    make_worker
        Called in each process; makes the function that is called with the items.
    items
        The work. Little of it is done in this process, and all of it where processes can not be
        forked.

    Yields
    ------
    iterator
        The results in the order of the items; an exception of a worker is raised at its item's turn.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    processes = min(cores, len(items))
    if len(items) < _WORTH_IT or processes < 2:
        yield map(make_worker(), items)
        return
    # Forked, so that the caller needs no `if __name__ == "__main__"` and nothing is imported again; the
    # workers call NumPy, the front-end and decoders, and none of PyTorch's threads.
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, _start, (make_worker,)) as pool:
        yield pool.imap(_work, items)


def _start(make_worker: Callable[[], Any]) -> None:
    global _worker
    _worker = make_worker()


def _work(item: Any) -> Any:
    return _worker(item)
