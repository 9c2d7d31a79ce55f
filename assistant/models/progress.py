"""Progress of a download or a check: bytes, speed and time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW = 15.0
"""Seconds over which the speed is averaged."""

EVERY = 0.1
"""Shortest time between two events, in seconds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One event: ``done`` of ``total`` bytes of all files; “fetching” or “checking” ``file``.

    ``bytes_per_s`` and ``seconds_left`` come from the last :data:`WINDOW` seconds, None before the
    first second. ``file_done`` is true once for every file, when it is whole and checked.
    """

    doing: str
    file: str
    done: int
    total: int
    bytes_per_s: float | None = None
    seconds_left: float | None = None
    file_done: bool = False


OnProgress = Callable[[Progress], None]


class Meter:
    """Counter of bytes that reports them, at most every :data:`EVERY` seconds."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._report = on_progress or (lambda _: None)
        self._done = 0
        self._doing, self._file = "", ""
        self._reported = 0.0
        self._past: deque[tuple[float, int]] = deque()

    def begin(self, doing: str, file: str) -> None:
        """Start a file; the speed is measured again when ``doing`` changes."""
        if doing != self._doing:
            self._past.clear()
        self._doing, self._file = doing, file
        self._event()

    def add(self, count: int) -> None:
        """Add ``count`` bytes; a negative count takes back bytes that were wrong."""
        self._done += count
        if time.monotonic() - self._reported >= EVERY:
            self._event()

    def end(self) -> None:
        """Report that the file is whole and checked."""
        self._event(file_done=True)

    def _event(self, *, file_done: bool = False) -> None:
        now = self._reported = time.monotonic()
        self._past.append((now, self._done))
        while now - self._past[0][0] > WINDOW:
            self._past.popleft()
        since, was = self._past[0]
        speed = (self._done - was) / (now - since) if now - since >= 1 else None
        left = (self._total - self._done) / speed if speed and speed > 0 else None
        self._report(
            Progress(self._doing, self._file, self._done, self._total, speed, left, file_done)
        )
