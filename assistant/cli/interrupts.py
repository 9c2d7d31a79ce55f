"""Interruption of a reply: ctrl-C, SIGTERM, a terminal that closes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interruption:
    """A context in which ctrl-C ends the reply and its text so far is kept.

    Before the first word it raises KeyboardInterrupt at once, because reading a picture can take
    long. From :meth:`writing` on it calls ``stop`` in a thread of its own, and the reply ends
    within a token. The second ctrl-C ends the process. SIGTERM and SIGHUP raise SystemExit, so
    that the text is kept then, too. An ignored signal (``nohup``, ``&``) stays ignored.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._is_writing = False
        self._before: dict[signal.Signals, Any] = {}
        self.happened = False
        """Whether ctrl-C was pressed."""

    def writing(self) -> None:
        """Note that the first word came."""
        self._is_writing = True

    def __enter__(self) -> Interruption:
        for name, handler in (
            ("SIGINT", self._interrupted),
            ("SIGTERM", self._ended),
            ("SIGHUP", self._ended),  # not on Windows
        ):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self._is_writing:
            raise KeyboardInterrupt
        # a thread, because this one may hold the very lock that stop() takes
        threading.Thread(target=self._stop, daemon=True).start()

    def _ended(self, number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)
