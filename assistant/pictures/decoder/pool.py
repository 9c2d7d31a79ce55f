"""Decoder processes that are kept: started early, shared by threads, replaced when they end."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from assistant.pictures.decoder.frames import Header
from assistant.pictures.decoder.process import (
    LOOK_S,
    DecoderProcess,
    EndedError,
    IdleEndedError,
    TooSlowError,
)
from assistant.values.errors import PictureError

MOST = min(4, os.cpu_count() or 1)
"""Processes at the same time."""


class DecoderPool:
    """Processes that decode one picture each at a time."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.forget()

    def forget(self) -> None:
        """Have no process; a fork leaves them to its parent: two can't talk over one link."""
        self._changed = threading.Condition()
        self._idle: list[DecoderProcess] = []
        self._busy: list[DecoderProcess] = []
        self._stops = 0

    def start(self) -> None:
        """Start a process if there is none, so that the first picture need not wait for it."""
        with self._changed, suppress(OSError):
            if not (self._idle or self._busy):
                self._idle.append(DecoderProcess())

    def ask(
        self, header: Header, data: bytes, most: int, label: str, look: Callable[[], None]
    ) -> tuple[Header, bytearray]:
        """Have a picture decoded; ``most`` bytes of pixels may come back.

        ``look`` is called while this waits; an exception from it ends the decoding. Raises
        PictureError, also when another thread calls :meth:`stop`.
        """
        stops = self._stops

        def look_on() -> None:
            if self._stops != stops:
                raise PictureError(f"{label} was not opened: it was stopped.", code="stopped")
            look()

        while True:
            decoder = self._take(label, look_on)
            try:
                answer = decoder.ask(header, data, most, look_on)
            except IdleEndedError:
                self._drop(decoder)
            except BaseException as error:
                self._drop(decoder)
                look_on()  # stopped: its process was ended by that
                if isinstance(error, EndedError):
                    raise PictureError(_sentence(error, label)) from error
                raise
            else:
                self._give_back(decoder)
                return answer

    def stop(self) -> None:
        """End whatever is being decoded, and waits to be: the threads get a PictureError."""
        with self._changed:
            self._stops += 1
            for decoder in self._busy:
                decoder.kill()
            self._changed.notify_all()

    def close(self) -> None:
        """End all processes; the next picture starts another."""
        self.stop()
        with self._changed:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()

    def _take(self, label: str, look: Callable[[], None]) -> DecoderProcess:
        with self._changed:
            while not self._idle and len(self._busy) >= self._most:
                self._changed.wait(LOOK_S)
                look()
            look()
            decoder = self._living() or self._started(label)
            self._busy.append(decoder)
            return decoder

    def _living(self) -> DecoderProcess | None:
        while self._idle:
            decoder = self._idle.pop()
            if decoder.is_alive:
                return decoder
            decoder.close()
        return None

    def _started(self, label: str) -> DecoderProcess:
        try:
            return DecoderProcess()
        except OSError as error:
            why = error.strerror or str(error)
            raise PictureError(
                f"{label} can't be opened now: the decoder does not start ({why}); try again later."
            ) from error

    def _give_back(self, decoder: DecoderProcess) -> None:
        with self._changed:
            self._busy.remove(decoder)
            self._idle.append(decoder)
            self._changed.notify()

    def _drop(self, decoder: DecoderProcess) -> None:
        decoder.close()
        with self._changed:
            self._busy.remove(decoder)
            self._changed.notify()


def _sentence(error: EndedError, label: str) -> str:
    if isinstance(error, TooSlowError):
        return f"{label} takes too long to decode; save it as PNG in another program, attach that."
    return f"{label} made the decoder fail; save it as PNG in another program, attach that."


POOL = DecoderPool()
atexit.register(POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)
