"""Who scans: this thread, processes of this machine, or machines of a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from bifast.extras import extra

# Files in the hands of each worker, so that none waits.
PER_WORKER = 4


@contextmanager
def workers(jobs: int, scheduler: str | None) -> Iterator[tuple[Executor | None, int]]:
    """Start workers, or connect to a cluster's.

    Parameters
    ----------
    jobs
        Processes of this machine; 1: this thread.
    scheduler
        Address of a Dask scheduler, such as tcp://host:8786, whose workers have this package and see
        the files under the same paths; None: no cluster.

    Yields
    ------
    tuple[Executor | None, int]
        None for this thread; and how many files to hand over at once.

    Raises
    ------
    UnsupportedError
        If Dask is not installed.
    OSError
        If the scheduler does not answer, has no workers, or its workers died again and again.
    """
    if scheduler is not None:
        with _cluster(scheduler) as found:
            yield found
    elif jobs == 1:
        yield None, 1
    else:
        # Not forked: a fork copies locks that other threads hold.
        executor = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin_worker)
        try:
            yield executor, PER_WORKER * jobs
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def _cluster(scheduler: str) -> Iterator[tuple[Executor, int]]:
    distributed = extra("distributed", "a cluster of machines", "dask")
    with distributed.Client(scheduler, set_as_default=False) as client:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise OSError(f"{scheduler}: expected workers, got a scheduler that has none")
        try:
            # pure=False: a file may have changed since a cluster scanned it last.
            yield client.get_executor(pure=False), PER_WORKER * threads
        except distributed.KilledWorker as error:
            raise OSError(f"{scheduler}: workers died ({error})") from None


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
