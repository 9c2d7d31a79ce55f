"""Databases that go away for a while, for real, and a reply that is being written meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from assistant.values.events import Event, ReplyEnded, ReplyFailed, ReplyGrew, StoreLost
from storage.store import Store
from tests.scripted_core import ScriptedCore
from tests.storage.postgres_server import PostgresServer
from tests.wait import wait_until

TEXT = " ".join(f"In row {row} a red circle is left of a blue square." for row in range(60))
BEFORE, DURING = 10, 25
"""Tokens before the database goes away, and until it comes back; a byte is one."""


class Outage(Protocol):
    """A database at ``location`` that can be taken away and brought back."""

    location: str

    def begin(self) -> None: ...

    def end(self) -> None: ...


class Talk:
    """A reply to one message, in a thread of its own; each token waits for :meth:`write`."""

    def __init__(self, location: str, folder: Path, text: str = TEXT) -> None:
        self.gate = threading.Semaphore(0)
        self.core = ScriptedCore(folder, [text], gate=self.gate)
        self.store = Store.open(location)
        self.engine = Engine(
            self.store, Model(load_settings({"max_new_tokens": 2 * len(TEXT)}), self.core)
        )
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            for one in self.engine.send(None, Draft("What is there?")):
                self.events.append(one)
        except BaseException as error:
            self.error = error
            raise

    @property
    def text(self) -> str:
        return "".join(one.text for one in self.events if isinstance(one, ReplyGrew))

    @property
    def notices(self) -> list[str]:
        return [one.message for one in self.events if isinstance(one, StoreLost)]

    @property
    def end(self) -> ReplyEnded | ReplyFailed | None:
        ends = [one for one in self.events if isinstance(one, ReplyEnded | ReplyFailed)]
        return ends[-1] if ends else None

    def write(self, tokens: int) -> None:
        """Let so many tokens come, and wait until they are shown."""
        for _ in range(tokens):
            self.gate.release()
        target = len(self.text) + tokens - 2  # a blank and half a word may be held back
        wait_until(
            lambda: len(self.text) >= target or self.end is not None,
            f"{target} characters",
            lambda: (len(self.text), self.error, self.thread.is_alive(), self.events[-2:]),
        )

    def write_rest(self) -> None:
        for _ in range(2 * len(TEXT)):
            self.gate.release()

    def ended(self) -> ReplyEnded:
        found = wait_until(lambda: self.end, "the end", lambda: self.events[-3:])
        assert isinstance(found, ReplyEnded), found
        return found

    def close(self) -> None:
        self.engine.leave()
        self.write_rest()
        self.thread.join()
        self.engine.close()


class Lock:
    """Another process holds SQLite's write lock."""

    _PROGRAM = (
        "import sqlite3, sys\n"
        "held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "held.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )

    def __init__(self, folder: Path) -> None:
        self.location = str(folder / "phichat.db")

    def begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._PROGRAM, self.location],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def end(self) -> None:
        self._process.communicate(b"")


class Disk:
    """A file system of its own, of 4 MiB, that can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.folder], capture_output=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted: {done.stderr.decode().strip()}")
        self.location = str(self.folder / "phichat.db")
        self._filling = self.folder / "filling"

    def begin(self) -> None:
        with self._filling.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def end(self) -> None:
        self._filling.unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)


class Stopped:
    """A PostgreSQL server that is stopped, and started again."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.location = server.database()

    def begin(self) -> None:
        self._server.halt()

    def end(self) -> None:
        self._server.start()


class Killed(Stopped):
    """A PostgreSQL server whose processes are killed, and that is started again."""

    def begin(self) -> None:
        self._server.kill()


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    made = Disk(folder)
    try:
        yield made
    finally:
        made.unmount()


def check_whole(location: str, session: str, text: str = TEXT) -> None:
    """The whole reply is in the database, once, and nothing else is."""
    store = Store.open(location)
    try:
        question, reply = store.all_turns(session)
        assert (question.text, reply.text, reply.parent) == ("What is there?", text, question.id)
        assert str(reply.finish_reason) == "stop"
        assert reply.usage is not None
        assert reply.token_ids is not None
        assert len(reply.token_ids) == reply.usage.completion_tokens
        assert [one.id for one in store.sessions()] == [session]
        assert store.recover() == 0
    finally:
        store.close()


def run(
    outage: Outage, folder: Path, meanwhile: Callable[[Talk], object] = lambda talk: None
) -> Talk:
    """A reply in whose middle the database goes away, until it was noticed and ``meanwhile``."""
    talk = Talk(outage.location, folder)
    try:
        talk.write(BEFORE)
        outage.begin()
        try:
            talk.write(DURING)
            assert talk.end is None
            wait_until(lambda: _noticed(talk), "the notice", lambda: talk.events)
            meanwhile(talk)
        finally:
            outage.end()
        talk.write_rest()
        ended = talk.ended()
        assert (ended.unstored, ended.turn.text, talk.text) == ("", TEXT, TEXT)
        assert len(talk.notices) == 1
        session = ended.session_id
    finally:
        talk.close()
    check_whole(outage.location, session)
    return talk


def _noticed(talk: Talk) -> list[str]:
    """A checkpoint, and a notice, come with a token: let one come with each look."""
    if not talk.notices:
        talk.gate.release()
    return talk.notices
