"""Heap of the process: freed memory that the C library keeps is handed back to the system.

KV caches and features come and go in sizes that glibc takes from its heap, where a freed block
between two that are in use stays resident.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import psutil

SLACK = 32 * 2**20
"""Bytes by which a process may grow before its heap is looked through, which takes milliseconds:
so a worker is at most so much larger than what it holds."""


class Heap:
    """The heap of this process, looked through each time that the process has grown by a lot."""

    def __init__(self) -> None:
        self._kept = 0
        """Bytes that were resident after the last look."""

    def tidy(self) -> None:
        """Hand back what is free where the process has grown since the last time."""
        trim = _malloc_trim()
        if trim is not None and _resident() > self._kept + SLACK:
            trim(0)
            self._kept = _resident()


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Find glibc's function; other C libraries have none, and keep less."""
    with suppress(OSError, TypeError, AttributeError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return None


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
