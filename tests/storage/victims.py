"""Terminals that are killed: what they do, and what they said before they died.

A victim is a fork of this process, so that two hundred of them start quickly.
Everything that it is about to do, and everything that has succeeded, it says
into a file; what it said it has done must be in the database.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.engine.reply_writer import ReplyWriter
from assistant.engine.saver import Patience, Saver
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Draft, FinishReason
from storage.store import Store
from tests.storage.stored_pictures import make_picture

Say = Callable[..., None]


@dataclass(frozen=True)
class Said:
    """``done`` is False for what was only about to be done; ``at`` is the monotonic clock."""

    what: str
    done: bool
    at: float
    values: dict[str, Any]


class Victim:
    """A program in a process of its own; ``notes`` is the file that it says things in."""

    def __init__(self, program: Callable[[Say], None], notes: Path) -> None:
        notes.unlink(missing_ok=True)
        self._notes = notes
        self._pid = os.fork()
        if self._pid == 0:
            try:
                program(_sayer(notes))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)  # nothing of pytest's goes on in here

    def kill(self) -> None:
        """Kill -9."""
        os.kill(self._pid, signal.SIGKILL)

    def said(self) -> list[Said]:
        """Wait for its end; everything that it said."""
        _, status = os.waitpid(self._pid, 0)
        assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL), "see what it printed"
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return [Said(**json.loads(line)) for line in lines]


class Terminal:
    """Another process that a test talks with, line by line.

    ``program`` is given what says a line to the test and what waits for one of it.
    """

    def __init__(self, program: Callable[[Callable[..., None], Callable[[], str]], None]) -> None:
        there, self._to = os.pipe()
        self._from, back = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                heard = os.fdopen(there)

                def say(*words: str) -> None:
                    os.write(back, (" ".join(words) + "\n").encode())

                program(say, lambda: heard.readline().strip())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(there)
        os.close(back)
        self._said = os.fdopen(self._from)

    def heard(self) -> list[str]:
        """The words of the next line that it says."""
        return self._said.readline().split()

    def tell(self, line: str = "") -> None:
        """Say a line to it."""
        os.write(self._to, f"{line}\n".encode())

    def is_alive(self) -> bool:
        """Whether it has not ended by itself; for one that was not waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    def end(self) -> None:
        """Kill -9 and wait for its end; harmless when done twice."""
        if self._said.closed:
            return
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._said.close()
        os.close(self._to)


def _sayer(notes: Path) -> Say:
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(what: str, done: bool = True, **values: Any) -> None:
        said = {"what": what, "done": done, "at": time.monotonic(), "values": values}
        os.write(file, (json.dumps(said) + "\n").encode())  # one write: a line is whole or absent

    return say


def talk(location: Path, earlier: Path, vocabulary: Vocabulary, seed: int) -> Callable[[Say], None]:
    """A program that uses the database in every way until it is killed.

    ``earlier`` is a database of the first version; copies of it are opened, and so migrated.
    """

    def program(say: Say) -> None:
        chance = random.Random(seed)
        store = Store.open(location)
        sessions: list[str] = []
        for step in range(1_000_000):
            session = chance.choice(sessions) if sessions and chance.random() < 0.7 else None
            name = f"{seed}.{step}"
            session = _send(store, say, chance, session, name)
            sessions.append(session)
            for act in chance.sample(_ACTS, k=3):
                act(store, say, chance, session, name)
            if chance.random() < 0.5:
                _answer(store, say, chance, session, vocabulary)
            if chance.random() < 0.3:
                _migrate(say, earlier, location.with_name(f"migrated-{name}.db"))

    return program


def _send(store: Store, say: Say, chance: random.Random, session: str | None, name: str) -> str:
    pictures = tuple(
        make_picture(f"{name}-{n}" * chance.randint(1, 3000)) for n in range(chance.randint(0, 2))
    )
    if session is not None:
        say("draft", done=False, session=session, value=None)
    sent_to, turn = store.add_user_turn(
        session, Draft(f"message {name}", pictures), drop_draft=True
    )
    say(
        "sent",
        session=sent_to,
        turn=turn.id,
        parent=turn.parent,
        text=turn.text,
        pictures=[p.sha256 for p in turn.pictures],
    )
    if session is not None:
        say("draft", session=sent_to, value=None)
    return sent_to


def _answer(
    store: Store, say: Say, chance: random.Random, session: str, vocabulary: Vocabulary
) -> None:
    (question,) = store.tail(session, 1)
    reply = store.start_reply(session, question.id, model="demo")
    say("answering", turn=reply.id, session=session, text="")
    saver = Saver(store, reply.id, Patience())
    growing = ReplyWriter(saver, reply, vocabulary)
    text = ""
    for _ in range(chance.randint(5, 60)):
        time.sleep(0.02)  # a fast model's pace: an answer is half a second to a second long
        text += growing.add(vocabulary.encode(chance.choice(" abcdefgh")))
        say("grew", done=False, turn=reply.id, text=text)
    if chance.random() < 0.7:
        growing.finish(FinishReason.STOP)
        for event in saver.wait():
            raise AssertionError(f"the database is not away: {event}")
        say("answered", turn=reply.id, session=session, text=growing.turn.text)


def _rename(store: Store, say: Say, chance: random.Random, session: str, name: str) -> None:
    say("title", done=False, session=session, value=name)
    store.rename(session, name)
    say("title", session=session, value=name)


def _delete_and_restore(
    store: Store, say: Say, chance: random.Random, session: str, name: str
) -> None:
    say("deleted", done=False, session=session, value=True)
    store.delete(session)
    say("deleted", session=session, value=True)
    say("deleted", done=False, session=session, value=False)
    store.restore(session)
    say("deleted", session=session, value=False)


def _draft(store: Store, say: Say, chance: random.Random, session: str, name: str) -> None:
    say("draft", done=False, session=session, value=name)
    store.save_draft(session, Draft(name, (make_picture(f"draft {name}"),)))
    say("draft", session=session, value=name)


def _fork(store: Store, say: Say, chance: random.Random, session: str, name: str) -> None:
    forked = store.fork(session)
    say("forked", session=forked, texts=[t.text for t in store.conversation(forked).turns])


def _forget(store: Store, say: Say, chance: random.Random, session: str, name: str) -> None:
    forgotten, _ = store.add_user_turn(None, Draft("to be forgotten", (make_picture(name),)))
    store.delete(forgotten, for_good=True)
    say("forgotten", session=forgotten)


_ACTS = (_rename, _delete_and_restore, _draft, _fork, _forget)


def _migrate(say: Say, earlier: Path, copy: Path) -> None:
    shutil.copy(earlier, copy)
    say("migrating", done=False, path=str(copy))
    Store.open(copy).close()
    say("migrating", path=str(copy))
