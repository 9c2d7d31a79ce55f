"""PostgreSQL killed in the middle of writes, and servers that can only be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import text

from assistant.values.conversation import Draft, FinishReason
from assistant.values.errors import ReadOnlyError, StorageError
from storage.store import Store
from tests.storage.postgres_server import PostgresServer, running_server
from tests.wait import wait_until

KILLS, WRITERS, BETWEEN = 4, 3, 15
"""Kills of the server, threads that write, and what these have stored between two kills."""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_server() as started:
        yield started


class Writer(threading.Thread):
    """Asks and answers without a pause; keeps what it was said to be stored, and refusals."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.stored: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.unexpected: list[BaseException] = []
        self.has_ended = threading.Event()

    def run(self) -> None:
        with closing(Store.open(self._address)) as store:
            number, session = 0, None
            while not self.has_ended.is_set():
                number += 1
                try:
                    session, asked = store.add_user_turn(session, Draft(f"question {number}"))
                    self.stored.append((session, asked.text))
                    reply = store.start_reply(session, asked.id, model="demo")
                    store.checkpoint_reply(reply.id, "half", (1,))
                    store.finish_reply(
                        reply.id,
                        text=f"reply {number}",
                        token_ids=(1, 2),
                        finish_reason=FinishReason.STOP,
                        usage=None,
                        timings=None,
                    )
                    self.stored.append((session, f"reply {number}"))
                except StorageError as error:
                    self.refused.append(str(error))
                    self.has_ended.wait(0.02)
                except BaseException as error:
                    self.unexpected.append(error)
                    raise


def test_a_killed_server_loses_nothing_that_was_stored(server: PostgresServer) -> None:
    address = server.database()
    Store.open(address).close()
    writers = [Writer(address) for _ in range(WRITERS)]
    for one in writers:
        one.start()

    def count() -> int:
        assert not any(one.unexpected for one in writers)
        return sum(len(one.stored) for one in writers)

    for _ in range(KILLS):
        goal = count() + BETWEEN
        wait_until(lambda goal=goal: count() >= goal, "what is stored")  # type: ignore[misc]
        server.kill()
        refused = [len(one.refused) for one in writers]
        wait_until(
            lambda refused=refused: [len(one.refused) for one in writers] > refused,  # type: ignore[misc]
            "a refusal",
        )
        server.start()
    goal = count() + BETWEEN
    wait_until(lambda: count() >= goal, "what is stored after the last kill")
    for one in writers:
        one.has_ended.set()
        one.join()
    assert all("\n" not in words for one in writers for words in one.refused)
    with closing(Store.open(address)) as store:
        for one in writers:
            for session, words in one.stored:
                assert [turn.text for turn in store.all_turns(session)].count(words) == 1


def _read_only(server: PostgresServer, address: str) -> tuple[str, Callable[[], None]]:
    server.say("ALTER SYSTEM SET default_transaction_read_only = on")
    server.say("SELECT pg_reload_conf()")
    return address, lambda: None


def _standby(server: PostgresServer, address: str) -> tuple[str, Callable[[], None]]:
    role, database = address.split("//")[1].split("?")[0].split("@/")
    other = server.standby()
    return other.address(role, database), other.stop


@pytest.mark.slow
@pytest.mark.parametrize("make", [_read_only, _standby])
def test_a_server_that_can_only_be_read_is_read(
    server: PostgresServer,
    make: Callable[[PostgresServer, str], tuple[str, Callable[[], None]]],
) -> None:
    """Half a reply that nothing writes any more, and a chat to be purged, are left as they are."""
    address = server.database()
    with closing(Store.open(address)) as store:
        session, asked = store.add_user_turn(None, Draft("What is kept?"))
        half = store.start_reply(session, asked.id, model="demo")
        store.checkpoint_reply(half.id, "Half", (1,))
        gone, _ = store.add_user_turn(None, Draft("deleted"))
        store.delete(gone)
        with store.writing() as db:
            db.execute(text("UPDATE turns SET writer = 'nobody 0' WHERE writer IS NOT NULL"))
            db.execute(
                text("UPDATE sessions SET deleted = deleted - :age WHERE deleted IS NOT NULL"),
                {"age": timedelta(days=9)},
            )
    readable, end = make(server, address)
    try:
        with closing(Store.open(readable)) as store:
            assert [one.title for one in store.sessions()] == ["What is kept?"]
            assert [turn.text for turn in store.all_turns(session)] == ["What is kept?", "Half"]
            assert store.search("kept")
            assert "What is kept?" in "".join(store.export([session]))
            for write in (
                lambda: store.add_user_turn(session, Draft("lost")),
                lambda: store.rename(session, "lost"),
                lambda: store.save_draft(session, Draft("lost")),
                lambda: store.delete(session),
            ):
                with pytest.raises(ReadOnlyError, match="is read-only; write to its primary"):
                    write()
    finally:
        end()
