"""What ends a reply before its time: ctrl-C, a signal, a terminal that closes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interruption:
    """While it is entered, ctrl-C ends the reply and keeps what was written.

    Before the first word it raises KeyboardInterrupt at once: nobody waits for
    a picture to be looked at to the end. From :meth:`writing` on it calls
    ``stop``, in a thread of its own, and the reply ends by itself within a
    token. The second ctrl-C ends the process on the spot. SIGTERM and SIGHUP
    raise SystemExit, so that what was written is kept then too. A signal that
    was ignored (``nohup``, ``&``) stays ignored.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._is_writing = False
        self._before: dict[signal.Signals, Any] = {}
        self.happened = False
        """Whether ctrl-C was pressed."""

    def writing(self) -> None:
        """The first word is there."""
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
