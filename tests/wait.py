"""Waits of tests: for a condition, never for a time.

A loaded machine may be a hundred times slower than an idle one, so that a test
neither sleeps for a while nor counts its tries. It waits until something is so.
The limit here ends only a test that hangs.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 120.0
"""Seconds after which a wait is taken for a hang: far below the 300 of pytest-timeout, because
this error says what was waited for."""

LOOK_S = 0.04
"""Seconds between two looks at a condition."""


def wait_until(
    condition: Callable[[], T], what: object = "", state: Callable[[], object] = str
) -> T:
    """Block until ``condition()`` is true and return it; ``state`` is shown if it never is."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it never happened: {what}\n{state()}"
        time.sleep(LOOK_S)
    return found


async def until(
    condition: Callable[[], T], what: object = "", state: Callable[[], object] = str
) -> T:
    """Wait until ``condition()`` is true, while the loop goes on, and return it."""

    async def look() -> T:
        return condition()

    return await until_found(look, what, state)


async def until_found(
    look: Callable[[], Awaitable[T]], what: object = "", state: Callable[[], object] = str
) -> T:
    """Wait until what ``look()`` brings is true, while the loop goes on, and return it."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := await look()):
        assert time.monotonic() < deadline, f"it never happened: {what}\n{state()}"
        await asyncio.sleep(LOOK_S)
    return found


def read_until(terminal: int, is_enough: Callable[[bytes], object], written: bytes = b"") -> bytes:
    """Read a pseudo-terminal, after what was ``written``, until that is enough or the end."""
    deadline = time.monotonic() + LIMIT_S
    while not is_enough(written):
        assert time.monotonic() < deadline, f"it was never written; there was: {written[-3000:]!r}"
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            written += os.read(terminal, 65536)
        except OSError:  # the program ended
            break
    return written
