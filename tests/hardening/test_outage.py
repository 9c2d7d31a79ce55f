"""Databases that are away in the middle of a reply: it goes on, and all of it is stored."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from assistant.cli.ask import NOT_STORED
from assistant.values.conversation import Draft, FinishReason
from assistant.values.errors import DiskFullError, StorageError
from assistant.values.events import Progressed, Stage
from storage.store import Store
from tests.conftest import Phichat
from tests.hardening.outages import BEFORE, TEXT, Killed, Lock, Outage, Stopped, Talk, disk, run
from tests.storage.postgres_server import PostgresServer, running_server
from tests.tiers import few_quick
from tests.wait import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own, because it is stopped."""
    with running_server() as started:
        yield started


@pytest.fixture(params=few_quick(["lock", "disk", "server", "killed"]))
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    """Each kind of outage; a file system of its own needs root."""
    match request.param:
        case "lock":
            yield Lock(tmp_path)
        case "disk":
            with disk(tmp_path) as made:
                yield made
        case "server":
            yield Stopped(request.getfixturevalue("server"))
        case "killed":
            yield Killed(request.getfixturevalue("server"))


def test_a_reply_goes_on_and_is_stored_whole(outage: Outage, random_folder: Path) -> None:
    run(outage, random_folder)


def test_the_end_of_a_reply_waits_for_the_database(outage: Outage, random_folder: Path) -> None:
    def write_all(talk: Talk) -> None:
        talk.write_rest()
        wait_until(lambda: talk.text == TEXT, "the text")
        assert talk.end is None

    run(outage, random_folder, write_all)


def test_a_stop_shortens_the_wait_and_the_reply_is_stored_behind_it(
    outage: Outage, random_folder: Path
) -> None:
    def give_up(talk: Talk) -> None:
        talk.write_rest()
        wait_until(lambda: Progressed(Stage.STORING) in talk.events, "the wait")
        assert talk.text == TEXT
        talk.engine.stop()
        ended = talk.ended()
        assert ended.unstored.endswith("The end of this reply is not stored.")
        assert (ended.turn.text, ended.turn.finish_reason) == (TEXT, FinishReason.STOP)

    talk = Talk(outage.location, random_folder)
    try:
        talk.write(BEFORE)
        outage.begin()
        try:
            give_up(talk)
        finally:
            outage.end()
        session = talk.ended().session_id
        wait_until(lambda: talk.store.conversation(session).turns[-1].text == TEXT, "the store")
    finally:
        talk.close()


def test_a_full_disk_says_so_and_what_is_stored_is_read(tmp_path: Path) -> None:
    with disk(tmp_path) as made:
        store = Store.open(made.location)
        session, _ = store.add_user_turn(None, Draft("before"))
        store.close()
        made.begin()
        store = Store.open(made.location)
        try:
            assert store.conversation(session).turns[0].text == "before"
            assert store.search("before")
            for _ in range(2):
                with pytest.raises(DiskFullError, match="disk is full"):
                    store.add_user_turn(session, Draft("no room"))
            made.end()
            store.add_user_turn(session, Draft("after"))
            assert [one.text for one in store.all_turns(session)] == ["before", "after"]
        finally:
            store.close()


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql+psycopg://me@127.0.0.1:{silent.getsockname()[1]}/phichat"
        with pytest.raises(StorageError, match="does not answer; check its address"):
            Store.open(address)


def test_a_server_ends_what_hangs(server: PostgresServer) -> None:
    store = Store.open(server.database())
    try:
        with store.reading() as db:
            limits = ("statement_timeout", "idle_in_transaction_session_timeout")
            assert [db.scalar(text(f"SHOW {name}")) for name in limits] == ["1min", "1min"]
    finally:
        store.close()


@pytest.mark.slow
def test_ask_prints_what_could_not_be_stored_and_says_so(phichat: Phichat, tmp_path: Path) -> None:
    """A trigger keeps the end of replies from being stored, which no waiting mends."""
    assert phichat("ask", "x").returncode == 0
    with closing(sqlite3.connect(tmp_path / "home" / "phichat.db")) as beside, beside:
        beside.execute(
            "CREATE TRIGGER never BEFORE UPDATE OF finish_reason ON turns "
            "WHEN NEW.finish_reason IN ('stop', 'length') BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    asked = phichat("ask", "--json", "y")
    answer = json.loads(asked.stdout)
    assert asked.returncode == NOT_STORED
    assert answer["error"]["code"] == "unstored"
    assert answer["error"]["message"] in asked.stderr
    assert (answer["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 6)
    shown = json.loads(phichat("sessions", "show", answer["session"], "--json").stdout)
    assert shown["turns"][-1]["finish_reason"] == "interrupted"
