"""Leases: a turn is its writer's for half a minute, and free when the writer is dead or silent."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from assistant.values.conversation import Draft, FinishReason, Turn
from assistant.values.errors import LeaseLostError, StorageError
from storage import leases
from storage.store import Store

ELSEWHERE = "another-machine:1:1"
"""A process that can't be looked up."""


def begin(store: Store) -> tuple[str, Turn]:
    """A reply that grows; returns its session too."""
    session, turn = store.add_user_turn(None, Draft("What is this?"))
    reply = store.start_reply(session, turn.id, model="demo")
    store.checkpoint_reply(reply.id, "It is", (1, 2))
    return session, reply


def hand_over(store: Store, reply: Turn, seconds: int) -> None:
    """Let another process hold a reply for so many seconds by the database's clock."""
    with store.writing() as db:
        until = leases._now(db) + seconds
        db.execute(
            text("UPDATE turns SET writer = :writer WHERE id = :id"),
            {"writer": f"{ELSEWHERE} {until}", "id": reply.id},
        )
    leases.give_up(reply.id)


def reason(store: Store, session: str) -> FinishReason | None:
    return store.conversation(session).turns[-1].finish_reason


def finish(store: Store, reply: Turn, words: str) -> Turn:
    return store.finish_reply(
        reply.id, text=words, token_ids=(1, 2, 3), finish_reason=FinishReason.STOP,
        usage=None, timings=None,
    )  # fmt: skip


def test_what_this_process_gave_up_is_interrupted_at_once_and_can_go_on(store: Store) -> None:
    session, reply = begin(store)
    assert reason(store, session) is None
    store.give_up_reply(reply.id)
    assert reason(store, session) is FinishReason.INTERRUPTED
    assert store.reopen_reply(reply.id).text == "It is"
    assert reason(store, session) is None
    assert finish(store, reply, "It is a cat").text == "It is a cat"


def test_what_another_process_holds_is_left_alone(store: Store) -> None:
    session, reply = begin(store)
    hand_over(store, reply, 20)
    assert reason(store, session) is None
    assert store.recover() == 0
    with pytest.raises(StorageError, match="still being written"):
        store.reopen_reply(reply.id)
    with pytest.raises(LeaseLostError):
        store.checkpoint_reply(reply.id, "Mine", (9,))
    with pytest.raises(LeaseLostError):
        finish(store, reply, "Mine")
    assert store.conversation(session).turns[-1].text == "It is"


@pytest.mark.parametrize("recovered", [False, True])
def test_a_lease_that_nothing_renewed_is_over(store: Store, recovered: bool) -> None:
    session, reply = begin(store)
    hand_over(store, reply, 0)
    assert reason(store, session) is FinishReason.INTERRUPTED
    if recovered:
        assert store.recover() == 1
    store.reopen_reply(reply.id)
    assert finish(store, reply, "It is mine now").text == "It is mine now"


def test_a_lease_of_a_clock_that_was_ahead_is_over(store: Store) -> None:
    session, reply = begin(store)
    hand_over(store, reply, 2 * 365 * 86_400)
    assert reason(store, session) is FinishReason.INTERRUPTED
    assert store.reopen_reply(reply.id).text == "It is"


def test_a_writer_that_was_taken_for_dead_goes_on_where_nothing_took_its_place(
    store: Store,
) -> None:
    session, reply = begin(store)
    hand_over(store, reply, 0)
    assert store.recover() == 1
    store.checkpoint_reply(reply.id, "It is a", (1, 2, 3))
    assert (reason(store, session), store.recover()) == (None, 0)


def test_each_checkpoint_renews_the_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds_left() -> int:
        with store.reading() as db:
            writer = db.scalar(text("SELECT writer FROM turns WHERE finish_reason IS NULL AND "
                                    "role = 'assistant'"))  # fmt: skip
        return int(writer.partition(" ")[2]) - clock[0]

    clock = [1_000]
    monkeypatch.setattr(leases, "_now", lambda db: clock[0])
    _, reply = begin(store)
    clock[0] += 25
    assert seconds_left() == leases.LEASE_S - 25
    store.checkpoint_reply(reply.id, "It is a", (1, 2, 3))
    assert seconds_left() == leases.LEASE_S
