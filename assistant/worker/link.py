"""A terminal's link to a worker: finds the shared worker or starts it, then receives frames."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError
from assistant.values.generation import Pixels
from assistant.worker.frames import Channel, FrameError, Header
from assistant.worker.launch import launch
from assistant.worker.processes import age_s, is_stopped, kill_worker

if TYPE_CHECKING:
    from assistant.worker.rendezvous import Rendezvous

CRASHED = (
    "The engine process ended unexpectedly (it may have run out of memory); "
    "sending again starts it anew."
)

FROZEN = (
    "The engine process does not react (it was stopped, the machine swaps, or a driver hangs); "
    "F5 ends it and starts another one."
)
ALONE = (
    "The shared engine process does not react, so this terminal has one of its own; "
    "F5 or phichat doctor says which processes there are."
)

_ATTEMPTS = 4
"""A shared worker may end just when it is found; after this many a private one is started."""

_LOOK_S = 1.0
"""Seconds between two looks at whether a worker that says nothing was stopped."""

_ANSWER_WAIT_S = 2.0
"""Seconds in which a worker that runs says that it does: it needs no model for that."""

_WELCOME_WAIT_S = 60.0
"""A worker imports libraries before it answers, on a machine that may be busy."""

_OLD_WAIT_S = 5.0
"""Seconds for the first word of a worker that has had the time to import."""


class WorkerLink:
    """One run of a worker as its client sees it.

    ``hear`` gets what is about the worker itself (header ``status`` or
    ``planned``; None when it is gone); what is about a request comes from :meth:`answers`.
    ``runtime`` is the folder where terminals meet; None is a worker for this
    terminal only. Nothing here blocks its maker: a thread does it all.
    """

    def __init__(
        self,
        spec: Mapping[str, object],
        hear: Callable[[WorkerLink, Header | None], None],
        *,
        runtime: Path | None,
        keep_alive: int,
        log: Path | None,
    ) -> None:
        self._answers: dict[int, queue.SimpleQueue[Header | None]] = {}
        self.alive = True
        self.pid: int | None = None
        """The worker's process, once it has answered or this terminal started it for all."""
        self.shared = False
        self.ended = False
        """Whether the worker said that it ends on request: it did not crash."""
        self.hangs = False
        """Whether the user gave up a request that it did not end."""
        self._asked = self._answered = 0
        """Questions whether the worker is there, and its answers."""
        self._met: Rendezvous | None = None
        """The place of a shared worker."""
        self._is_starter = False
        """This terminal started the shared worker."""
        self._outgoing: queue.SimpleQueue[tuple[Channel, Header, bytes] | None] = (
            queue.SimpleQueue()
        )
        self._spec, self._hear = spec, hear
        self._runtime, self._keep_alive, self._log = runtime, keep_alive, log
        self._state = threading.Lock()
        self._closed = False
        self._channel: Channel | None = None
        self._private: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._send_all, daemon=True).start()
        threading.Thread(target=self._run, daemon=True).start()

    @contextmanager
    def answers(self, number: int) -> Iterator[queue.SimpleQueue[Header | None]]:
        """Receive what is about the request ``number``; None when the worker is gone."""
        answers = queue.SimpleQueue[Header | None]()
        with self._state:
            self._answers[number] = answers
            if not self.alive:
                answers.put(None)
        try:
            yield answers
        finally:
            with self._state:
                del self._answers[number]

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send a frame, in time; returns at once, also where a worker reads nothing.

        To a worker that is gone nothing comes, which :meth:`answers` tells.
        """
        if self._channel is not None:
            self._outgoing.put((self._channel, header, payload))

    def _send_all(self) -> None:
        while (frame := self._outgoing.get()) is not None:
            channel, header, payload = frame
            try:
                channel.send(header, payload)
            except TimeoutError:
                channel.close()
            except OSError:
                pass  # the worker is gone: its last words, and the end, are still to be received

    def give_up(self, number: int, *, reacts: bool) -> None:
        """Let a request be over that the worker did not end; ``reacts``: it is busy, not frozen."""
        self.hangs = True
        with self._state:
            answers = self._answers.get(number)
        if answers is not None:
            answers.put({"id": number, "ev": "given_up", "reacts": reacts})

    def ask(self) -> int:
        """Ask the worker whether it is there; returns the number for :meth:`has_answered`."""
        with self._state:
            self._asked += 1
            self.send({"op": "info"})
            return self._asked

    def has_answered(self, question: int) -> bool:
        """Whether the worker has answered; frames that it sent before are no answer."""
        return self.alive and self._answered >= question

    def reacts(self) -> bool:
        """Ask the worker whether it is there; waits two seconds at most."""
        question, asked = self.ask(), time.monotonic()
        while self.alive and not self.has_answered(question):
            if time.monotonic() - asked > _ANSWER_WAIT_S:
                return False
            time.sleep(0.02)
        return self.alive

    def kill(self) -> None:
        """End the worker, whatever it does, other terminals' too; then :meth:`close`."""
        if self._private is not None:
            self._private.kill()
        elif self.pid is not None and self.alive:
            kill_worker(self.pid)
        killed = time.monotonic()
        while self.alive and time.monotonic() - killed < _ANSWER_WAIT_S:
            time.sleep(0.02)

    def send_pixels(self, number: int, sha256: str, pixels: Callable[[str], Pixels]) -> None:
        """Answer the worker's question; a picture that can't be read ends that generation."""
        try:
            picture = pixels(sha256)
        except PhichatError as error:
            self.send({"op": "pixels", "id": number, "error": str(error)})
            return
        size = {"width": picture.width, "height": picture.height}
        self.send({"op": "pixels", "id": number, **size}, picture.rgb)

    def close(self) -> None:
        """Leave: a private worker ends, a shared one after its last client's ``keep_alive``."""
        with self._state:
            self._closed = True
            channel, process = self._channel, self._private
        if channel is not None:
            channel.close()
        if process is not None:
            if self.hangs:
                process.kill()
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                process.kill()  # one that hangs in a driver goes when that lets it

    def _run(self) -> None:
        try:
            is_frozen = False
            for attempt in range(_ATTEMPTS):
                channel = self._open(sharing=attempt < _ATTEMPTS - 1 and not is_frozen)
                is_frozen = channel is not None and not self._is_welcome(channel)
                if channel is not None and is_frozen and self._met is not None:
                    self._hear(self, {"ev": "alone"})
                    channel.close()
                    continue
                if channel is None or self._listen(channel) or self._private is not None:
                    break
        except OSError as error:
            reason = error.strerror or str(error)
            detail = f"The engine process could not be started: {reason}."
            self._hear(self, {"ev": "status", "phase": "failed", "detail": detail})
        finally:  # whatever happened, no thread may wait for this worker any more
            with self._state:
                self.alive = False
                for answers in self._answers.values():
                    answers.put(None)
            self._hear(self, None)
            self._outgoing.put(None)
        if self._private is not None:
            self._private.wait()

    def _open(self, *, sharing: bool) -> Channel | None:
        """Connect to a worker and say hello; None when this link was closed."""
        why = "a worker of this terminal's own"
        opened: tuple[Channel, subprocess.Popen[bytes] | None, str] | None = None
        self._met, self._is_starter = None, False
        if self._runtime is not None:
            try:
                if not sharing:
                    raise OSError("the shared one does not answer")
                opened = self._meet(self._runtime)
            except (OSError, ImportError) as error:  # ImportError: a system without fcntl
                why += f", because {getattr(error, 'strerror', None) or error}"
        if opened is None:
            channel, process = launch(self._spec, log=self._log, note=why)
            opened = channel, process, ""
        channel, owned, token = opened
        with self._state:
            self._channel, self._private = channel, owned
            self._answered = self._asked  # what was asked of another one is not counted any more
            closed = self._closed
        if closed:
            self.close()
            return None
        with suppress(OSError):  # it is gone already, which the listener notices
            channel.send({"op": "hello", "token": token, "keep_alive": self._keep_alive})
        return channel

    def _meet(self, runtime: Path) -> tuple[Channel, None, str]:
        """Join the shared worker of these settings; start it if it does not run."""
        from assistant.worker.rendezvous import Rendezvous, name_of

        place = Rendezvous(runtime, name_of(self._spec))
        found = place.connect()
        if found is None:
            with place.locked():
                found = place.connect()  # another terminal may have been quicker
                if found is None:
                    listening = place.listen()
                    with listening.socket:
                        channel, process = launch(
                            self._spec,
                            log=self._log,
                            note=f"{place.name}, a shared worker",
                            shared=(place, listening),
                        )
                    # it outlives us, but while we live someone must note its end
                    threading.Thread(target=process.wait, daemon=True).start()
                    place.note_process(process.pid)
                    self._met, self.pid, self._is_starter = place, process.pid, True
                    return channel, None, listening.token
        connection, token = found
        self._met = place
        return Channel(connection), None, token

    def _is_welcome(self, channel: Channel) -> bool:
        """Wait for the worker's first word; returns False where it was stopped, or says nothing."""
        began = time.monotonic()
        while not channel.has_data(_LOOK_S):
            if self._closed:
                return True
            pid = self._met.process() if self._met is not None else None
            if pid is not None and is_stopped(pid):
                return False
            has_imported = pid is not None and age_s(pid) > _WELCOME_WAIT_S
            if time.monotonic() - began > (_OLD_WAIT_S if has_imported else _WELCOME_WAIT_S):
                return self._is_starter  # it may still import
        return True

    def _listen(self, channel: Channel) -> bool:
        """Receive frames until the worker is gone; returns whether it ever answered."""
        channel.limit_wait(_WELCOME_WAIT_S)
        try:
            while (header := channel.receive()) is not None:
                kind = header["ev"]
                if kind == "welcome":
                    channel.limit_wait(None)
                    self.pid, self.shared = header["pid"], header["shared"]
                elif kind == "leaving":
                    self.ended = True
                elif kind == "info":
                    self._answered += 1
                elif kind in ("status", "planned"):
                    self._hear(self, header)
                elif "id" in header:
                    with self._state:
                        answers = self._answers.get(header["id"])
                    if answers is not None:  # else the rest of a request that was dropped
                        answers.put(header)
        except FrameError:
            pass  # not our worker, or one that has gone mad: the same as none
        channel.close()
        return self.pid is not None or self._closed
