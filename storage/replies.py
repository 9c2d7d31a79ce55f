"""Replies: started, checkpointed and finished by the process that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from assistant.values.conversation import (
    FinishReason,
    Role,
    Timings,
    Turn,
    Usage,
)
from assistant.values.errors import StorageError
from assistant.values.sampling import Parameters
from storage import turns, writers
from storage.column_types import utc_now
from storage.ids import storable
from storage.rows import session_row, turn_row
from storage.schema import SessionRow, TurnRow
from storage.transactions import Transactions

_UNKNOWN_IS_DEAD_AFTER = timedelta(days=1)
"""Time after which a reply is given up if its writer can't be looked up: no reply takes this
long."""


def start(
    db: Session,
    session_id: str,
    parent_turn_id: str,
    *,
    model: str,
    parameters: Parameters | None = None,
) -> Turn:
    """Store an empty reply to a turn; it becomes the head, beside any earlier reply.

    ``parameters`` are those that it is generated with.
    """
    session = session_row(db, session_id)
    question = turn_row(db, parent_turn_id, session)
    question.writer = None
    session.model = storable(model)
    row = turns.add(db, session, question, Role.ASSISTANT, "")
    row.model = session.model
    row.parameters = parameters
    db.flush()
    return turns.of_row(db, row)


def reopen(db: Session, turn_id: str) -> Turn:
    """Let an unfinished reply continue: the same turn, written by this process.

    Its text stays until the first checkpoint. Raises StorageError when the model ended it by
    itself, or when it is being written.
    """
    row = turn_row(db, turn_id)
    if row.role is not Role.ASSISTANT or row.finish_reason in (None, FinishReason.STOP):
        raise StorageError("This reply can't go on: it is complete, or still being written.")
    row.finish_reason = None
    row.writer = writers.this_process()
    db.flush()
    return turns.of_row(db, row)


def checkpoint(db: Session, turn_id: str, text: str, token_ids: Sequence[int] | None) -> None:
    """Store the whole text and all ids of a growing reply.

    A checkpoint that arrives after the end changes nothing.
    """
    row = turn_row(db, turn_id)
    if _is_open(row):
        row.text = storable(text)
        row.token_ids = None if token_ids is None else tuple(token_ids)
        row.finish_reason = None
        row.writer = writers.this_process()


def finish(
    db: Session,
    turn_id: str,
    *,
    text: str,
    token_ids: Sequence[int] | None,
    finish_reason: FinishReason,
    usage: Usage | None,
    timings: Timings | None,
) -> Turn:
    """Store the end of a reply; a reply that has ended before stays as it is."""
    row = turn_row(db, turn_id)
    if _is_open(row):
        row.text = storable(text)
        row.token_ids = None if token_ids is None else tuple(token_ids)
        row.finish_reason = finish_reason
        row.usage = usage
        row.timings = timings
        row.writer = None
        db.get_one(SessionRow, row.session_key).updated = utc_now()
        db.flush()
    return turns.of_row(db, row)


def recover(store: Transactions) -> int:
    """Mark replies whose writer has died as interrupted; returns their number.

    A reply that another live process is writing is left alone.
    """
    with store.reading() as db:
        # the condition is that of a partial index: finished turns are not looked at
        open_turns = select(TurnRow.writer).where(TurnRow.writer.is_not(None)).distinct()
        found = [(w, writers.is_alive(w)) for w in db.scalars(open_turns) if w is not None]
    if all(alive for _, alive in found):
        return 0
    given_up = utc_now() - _UNKNOWN_IS_DEAD_AFTER
    with store.writing() as db:
        return sum(
            interrupt(db, writer, before=given_up if alive is None else None)
            for writer, alive in found
            if not alive
        )


def interrupt(db: Session, writer: str, before: datetime | None = None) -> int:
    """Mark the unfinished replies of ``writer`` (created ``before``); returns their number."""
    mine = update(TurnRow).where(TurnRow.writer == writer)
    if before is not None:
        mine = mine.where(TurnRow.created < before)
    replies = db.execute(
        mine.where(TurnRow.role == Role.ASSISTANT).values(
            finish_reason=FinishReason.INTERRUPTED, writer=None
        )
    )
    db.execute(mine.values(writer=None))
    assert isinstance(replies, CursorResult)
    return replies.rowcount


def _is_open(row: TurnRow) -> bool:
    """Whether a reply may still grow.

    An interrupted reply may: its writer was taken for dead and is not, or it is being continued.
    """
    return row.finish_reason in (None, FinishReason.INTERRUPTED)
