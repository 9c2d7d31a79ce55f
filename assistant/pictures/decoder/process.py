"""One decoder process, as the app sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from assistant.pictures.decoder import own_files
from assistant.pictures.decoder.frames import FrameError, Header, receive, send
from assistant.values import python_child

WALL_S = 30.0
"""Longest wait for an answer, in seconds, on a busy machine or for a process that was stopped. One
that computes is ended before that (CPU_S)."""

_LIMITED = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Variables: a numpy on many cores reserves more addresses than the process may have."""

LOOK_S = 0.05
"""Seconds between two looks whether the user gave up."""


class EndedError(Exception):
    """The process ended before it answered."""


class IdleEndedError(EndedError):
    """It ended because nothing was asked for a while."""


class TooSlowError(EndedError):
    """It took too long, and was ended."""


class DecoderProcess:
    """A process that was started from this interpreter, with a link to it. Raises OSError."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        self._link.settimeout(LOOK_S)
        try:
            self._process = subprocess.Popen(
                python_child.command("assistant.pictures.decoder", theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # libraries write their warnings across the screen
                stderr=subprocess.DEVNULL,
                env=python_child.environment(**_LIMITED),
                cwd="/",
                start_new_session=True,  # ctrl-C is for the app, which decides what to stop
            )
        except BaseException:
            self._link.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, header: Header, data: bytes, most: int, look: Callable[[], None]
    ) -> tuple[Header, bytearray]:
        """Send a picture and wait for the answer, of at most ``most`` bytes of pixels.

        ``look`` is called every LOOK_S seconds. Raises what it raises, and EndedError: this process
        is of no use after either.
        """
        until = time.monotonic() + WALL_S

        def look_on() -> None:
            look()
            if time.monotonic() > until:
                raise TooSlowError

        try:
            send(self._link, header, (data,), len(data), look_on)
            return receive(self._link, most, look_on)
        except (EOFError, OSError, FrameError) as error:
            raise self._why() from error

    def kill(self) -> None:
        """End it at once, in the middle of a picture too. Any thread may call this.

        A program that it runs for a picture ends with it: both are of the session of its own.
        """
        if self.is_alive and hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End it and free what it takes, a program's copy of a picture included."""
        self.kill()
        self._process.wait()
        self._link.close()
        own_files.remove(self.pid)

    def _why(self) -> EndedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self._process.returncode
        if code == 0:
            return IdleEndedError()
        return TooSlowError() if code == -getattr(signal, "SIGPROF", 27) else EndedError()
