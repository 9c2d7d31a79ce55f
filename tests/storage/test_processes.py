"""Several terminals on one database, and terminals that die."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from assistant.values.conversation import Draft, FinishReason, Turn
from storage import writers
from storage.store import Store
from tests.storage.stored_pictures import make_picture
from tests.storage.victims import Terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and process ids")

Program = Callable[[Store, Callable[..., None], Callable[[], str]], None]
Start = Callable[[Program], Terminal]


@pytest.fixture
def terminal(location: Path) -> Iterator[Start]:
    """Start another process on the same database, with a store of its own."""
    started: list[Terminal] = []

    def start(program: Program) -> Terminal:
        started.append(Terminal(lambda say, listen: program(Store.open(location), say, listen)))
        return started[-1]

    yield start
    for one in started:
        one.end()


def _writes_a_reply(store: Store, say: Callable[..., None], listen: Callable[[], str]) -> None:
    session, turn = store.add_user_turn(None, Draft("What is this?"))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "It is a", (1, 2, 3))
    say(session, turn.id, reply.id)
    listen()
    store.checkpoint_reply(reply.id, "It is a cat", (1, 2, 3, 4))
    say("written")
    listen()


def test_a_reply_of_a_killed_terminal_is_there_and_marked(location: Path, terminal: Start) -> None:
    writer = terminal(_writes_a_reply)
    session, _, reply = writer.heard()
    store = Store.open(location)  # while the other terminal runs: nothing to recover
    assert store.recover() == 0
    assert store.conversation(session).turns[-1].finish_reason is None

    os.kill(writer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert store.recover() == 1
    assert store.recover() == 0
    turns = store.conversation(session).turns
    assert [t.text for t in turns] == ["What is this?", "It is a"]
    assert turns[-1].id == reply
    assert turns[-1].finish_reason is FinishReason.INTERRUPTED
    assert turns[-1].token_ids == (1, 2, 3)
    store.close()
    with closing(sqlite3.connect(location)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_start_recovers_what_died_and_nothing_that_runs(location: Path, terminal: Start) -> None:
    dead, living = terminal(_writes_a_reply), terminal(_writes_a_reply)
    (of_dead, *_), (of_living, *_) = dead.heard(), living.heard()
    dead.end()
    store = Store.open(location)
    assert store.conversation(of_dead).turns[-1].finish_reason is FinishReason.INTERRUPTED
    assert store.conversation(of_living).turns[-1].finish_reason is None
    living.tell()
    assert living.heard() == ["written"]
    assert store.conversation(of_living).turns[-1].text == "It is a cat"
    store.close()


def test_a_message_sent_while_another_terminal_is_answered_becomes_a_sibling(
    store: Store, terminal: Start, answer: Callable[..., Turn]
) -> None:
    session, first = store.add_user_turn(None, Draft("first"))
    reply = answer(session, first)

    def send(store: Store, say: Callable[..., None], listen: Callable[[], str]) -> None:
        _, turn = store.add_user_turn(session, Draft("theirs"))
        say(turn.id, turn.parent)
        listen()
        say(store.start_reply(session, turn.id, model="demo").id)
        listen()

    other = terminal(send)
    theirs, parent = other.heard()
    assert parent == reply.id
    _, mine = store.add_user_turn(session, Draft("mine, before they have a reply"))
    assert mine.parent == reply.id
    other.tell()
    (their_reply,) = other.heard()
    assert store.conversation(session).turns[-1].id == their_reply
    _, again = store.add_user_turn(session, Draft("mine, while their reply grows"))
    assert again.parent == reply.id

    store.set_head(session, their_reply)
    other.end()
    assert store.recover() == 1
    _, after = store.add_user_turn(session, Draft("mine, after they died"))
    assert after.parent == their_reply
    assert {t.id for t in store.all_turns(session)} >= {theirs, mine.id, again.id, after.id}


def test_terminals_that_start_and_send_at_once_lose_nothing(
    location: Path, terminal: Start
) -> None:
    """The first start makes the database; only one of them can be the one that does."""
    messages, terminals = 5, 3

    def send(store: Store, say: Callable[..., None], listen: Callable[[], str]) -> None:
        say("open")
        session, me = listen(), listen()
        for n in range(messages):
            picture = make_picture(f"{n}", name=f"{me}-{n}")
            store.add_user_turn(session, Draft(f"{me} {n}", (picture,)))
        say("done")

    processes = [terminal(send) for _ in range(terminals)]
    for process in processes:
        assert process.heard() == ["open"]
    store = Store.open(location)
    session, _ = store.add_user_turn(None, Draft("start", (make_picture("0"),)))
    for me, process in enumerate(processes):
        process.tell(session)
        process.tell(f"{me}")
    for process in processes:
        assert process.heard() == ["done"]

    turns = store.all_turns(session)
    expected = {f"{me} {n}" for me in range(terminals) for n in range(messages)}
    assert {t.text for t in turns} == {"start", *expected}
    for me in range(terminals):
        own = [t.text for t in turns if t.text.startswith(f"{me} ")]
        assert own == [f"{me} {n}" for n in range(messages)]
    numbers = {p.number for t in turns for p in t.pictures}
    assert numbers == set(range(1, len(numbers) + 1))
    ids = {t.id for t in turns}
    # Each process sees the others' messages in hand and sends its own beside them.
    assert all(t.parent is None or t.parent in ids for t in turns)
    store.close()


def test_a_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    me = writers.this_process()
    machine, pid, start = me.split(":", 2)
    assert writers.is_alive(me) is True
    assert writers.is_alive(f"{machine}:{pid}:{int(start) - 1}") is False
    assert writers.is_alive(f"{machine}:1999999999:{start}") is False
    assert writers.is_alive(f"other-boot/1:{pid}:{start}") is False
    boot = machine.partition("/")[0]
    assert writers.is_alive(f"{boot}/other-container:{pid}:{start}") is None
    assert writers.is_alive("written by something else") is None


def test_a_writer_that_cannot_be_looked_up_is_given_up_after_a_day(
    store: Store, location: Path
) -> None:
    replies = []
    for _ in range(2):
        session, turn = store.add_user_turn(None, Draft("x"))
        replies.append(store.start_reply(session, turn.id, model="demo"))
    with closing(sqlite3.connect(location)) as beside, beside:
        beside.execute("UPDATE turns SET writer = 'somewhere else' WHERE writer IS NOT NULL")
        beside.execute(
            "UPDATE turns SET created = '2020-01-01 00:00:00.000000' WHERE id = ?", (replies[0].id,)
        )
    assert store.recover() == 1
    reasons = {t.id: t.finish_reason for s in store.sessions() for t in store.all_turns(s.id)}
    assert reasons[replies[0].id] is FinishReason.INTERRUPTED
    assert reasons[replies[1].id] is None


def test_a_change_of_another_process_is_noticed_and_quiet_is_quiet(
    store: Store, terminal: Start
) -> None:
    session, _ = store.add_user_turn(None, Draft("x"))

    def rename(store: Store, say: Callable[..., None], listen: Callable[[], str]) -> None:
        listen()
        store.rename(session, "theirs")
        say("renamed")
        listen()
        store.conversation(session)
        say("read")

    other = terminal(rename)
    before = store.changes()
    store.conversation(session)
    assert store.changes() == before
    other.tell()
    assert other.heard() == ["renamed"]
    after = store.changes()
    assert after != before
    other.tell()
    assert other.heard() == ["read"]
    assert store.changes() == after
    store.rename(session, "mine")
    assert store.changes() != after
