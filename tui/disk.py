"""Questions to the disk in threads that nothing waits for: a folder of a network may hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 0.5
"""Longest wait of a key for the disk."""
MOST = 16
"""Questions that may hang at a time; nothing more is looked up meanwhile."""

_places = threading.BoundedSemaphore(MOST)


async def from_disk(find: Callable[[], T]) -> T | None:
    """Return what ``find`` reads, None where the disk does not answer in time."""
    if not _places.acquire(blocking=False):
        return None
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not answer.done():
            give()

    def run() -> None:
        try:
            give = partial(answer.set_result, find())
        except Exception as error:  # raised where the answer is waited for
            give = partial(answer.set_exception, error)
        finally:
            _places.release()
        with suppress(RuntimeError):  # the app has ended
            loop.call_soon_threadsafe(settle, give)

    threading.Thread(target=run, daemon=True).start()
    try:
        return await asyncio.wait_for(answer, PATIENCE_S)
    except TimeoutError:
        return None
