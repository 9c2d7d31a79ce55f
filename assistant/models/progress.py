"""How far a download or a check has come, and how long the rest will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW = 15.0
"""Seconds of the past that the speed is taken from."""

EVERY = 0.1
"""Seconds between two events at least."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``doing`` is “fetching” or “checking” ``file``; bytes of all files together.

    ``bytes_per_s`` and ``seconds_left`` are of the last seconds, None until they can be told.
    ``file_done`` is true once for every file, when it is whole and checked.
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
    """Counts bytes and tells of them, not too often."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._tell = on_progress or (lambda _: None)
        self._done = 0
        self._doing, self._file = "", ""
        self._told = 0.0
        self._past: deque[tuple[float, int]] = deque()

    def begin(self, doing: str, file: str) -> None:
        """Something new is done; its speed is a new one."""
        if doing != self._doing:
            self._past.clear()
        self._doing, self._file = doing, file
        self._event()

    def add(self, count: int) -> None:
        """``count`` more bytes are done; less than 0 when they turned out to be none."""
        self._done += count
        if time.monotonic() - self._told >= EVERY:
            self._event()

    def end(self) -> None:
        """The file is whole and checked."""
        self._event(file_done=True)

    def _event(self, *, file_done: bool = False) -> None:
        now = self._told = time.monotonic()
        self._past.append((now, self._done))
        while now - self._past[0][0] > WINDOW:
            self._past.popleft()
        since, was = self._past[0]
        speed = (self._done - was) / (now - since) if now - since >= 1 else None
        left = (self._total - self._done) / speed if speed and speed > 0 else None
        self._tell(
            Progress(self._doing, self._file, self._done, self._total, speed, left, file_done)
        )
