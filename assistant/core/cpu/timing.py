"""Time that one thread computes, which other programs hardly change: ways are compared by it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, and the kernels that were imported before, compute on this thread alone."""
    threads, numba = torch.get_num_threads(), sys.modules.get("numba")
    compiled = numba.get_num_threads() if numba is not None else 0
    try:
        torch.set_num_threads(1)
        if numba is not None:
            numba.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)
        if numba is not None:
            numba.set_num_threads(compiled)


def quickest(run: Callable[[], object], times: int = 4) -> float:
    """Return the fewest seconds that this thread computed for ``run``, of some ``times``."""
    return min(timed(run) for _ in range(times))


def timed(run: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Return the seconds of ``run`` by ``clock``."""
    started = clock()
    run()
    return clock() - started
