"""Replies: started, checkpointed and finished by the process that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from assistant.values.chances import Chances
from assistant.values.conversation import FinishReason, Role, Thought, Timings, Turn, Usage
from assistant.values.errors import LeaseLostError, StorageError
from assistant.values.sampling import Parameters
from storage import leases, turns
from storage.column_types import utc_now
from storage.ids import storable
from storage.rows import session_of, session_row, turn_row
from storage.schema import TurnRow
from storage.transactions import Transactions


def start(
    db: Session,
    session_id: str,
    parent_turn_id: str,
    *,
    model: str,
    parameters: Parameters | None = None,
    is_compared: bool = False,
) -> Turn:
    """Store an empty reply to a turn; it becomes the head, beside any earlier reply.

    ``parameters`` are those that it is generated with. One that ``is_compared`` leaves the session
    with its own model.
    """
    session = session_row(db, session_id)
    question = turn_row(db, parent_turn_id, session)
    question.writer = None
    leases.give_up(question.id)
    row = turns.add(db, session, question, Role.ASSISTANT, "")
    row.model = storable(model)
    session.model = session.model if is_compared else row.model
    row.parameters = parameters
    db.flush()
    return turns.of_row(db, row)


def reopen(db: Session, turn_id: str) -> Turn:
    """Let an unfinished reply continue: the same turn, written by this process.

    Its text stays until the first checkpoint. Raises StorageError when the model ended it by
    itself, or when it is being written.
    """
    row = turn_row(db, turn_id)
    is_over = row.finish_reason is FinishReason.STOP
    if row.role is not Role.ASSISTANT or is_over or leases.is_held(db, row):
        raise StorageError("This reply can't go on: it is complete, or still being written.")
    row.finish_reason = None
    leases.take(db, row)
    db.flush()
    return turns.of_row(db, row)


def checkpoint(
    db: Session,
    turn_id: str,
    text: str | None,
    token_ids: Sequence[int] | None,
    thought: Thought | None = None,
) -> None:
    """Store the whole text and all ids of a growing reply, which stays this process's for longer.

    Without a text it only stays so. A checkpoint that arrives after the end changes nothing.
    Raises LeaseLostError.
    """
    row = turn_row(db, turn_id)
    if _is_open(db, row):
        if text is not None:
            row.text = storable(text)
            row.token_ids = None if token_ids is None else tuple(token_ids)
            row.thought = _storable(thought)
        row.finish_reason = None
        leases.take(db, row)


def finish(
    db: Session,
    turn_id: str,
    *,
    text: str,
    token_ids: Sequence[int] | None,
    finish_reason: FinishReason,
    usage: Usage | None,
    timings: Timings | None,
    thought: Thought | None = None,
    chances: Chances | None = None,
) -> Turn:
    """Store the end of a reply; a reply that has ended before stays as it is.

    Raises LeaseLostError.
    """
    row = turn_row(db, turn_id)
    if _is_open(db, row):
        row.text = storable(text)
        row.token_ids = None if token_ids is None else tuple(token_ids)
        row.finish_reason = finish_reason
        row.usage = usage
        row.timings = timings
        row.chances = chances
        row.thought = _storable(thought)
        row.writer = None
        session_of(db, row).updated = utc_now()
        db.flush()
    return turns.of_row(db, row)


def chances(db: Session, turn_id: str) -> Chances | None:
    """Read the chance of each id of a reply, or None where they were not kept."""
    return db.scalar(select(TurnRow.chances).where(TurnRow.id == turn_id))


def recover(store: Transactions) -> int:
    """Mark replies that are written by no process any more as interrupted; returns their number."""
    # the condition is that of a partial index: finished turns are not looked at
    being_written = select(TurnRow).where(TurnRow.writer.is_not(None))
    with store.reading() as db:
        if not leases.lapsed(db, db.scalars(being_written)):
            return 0
    with store.writing() as db:
        # a turn that is locked is being written
        free = being_written.with_for_update(skip_locked=True)
        return interrupt(db, leases.lapsed(db, db.scalars(free)))


def interrupt(db: Session, keys: Sequence[int]) -> int:
    """Mark unfinished replies as interrupted; returns how many of these turns are replies."""
    these = update(TurnRow).where(TurnRow.key.in_(keys))
    replies = db.execute(
        these.where(TurnRow.role == Role.ASSISTANT).values(
            finish_reason=FinishReason.INTERRUPTED, writer=None
        )
    )
    db.execute(these.values(writer=None))
    assert isinstance(replies, CursorResult)
    return replies.rowcount


def _storable(thought: Thought | None) -> Thought | None:
    return None if thought is None else replace(thought, text=storable(thought.text))


def _is_open(db: Session, row: TurnRow) -> bool:
    """Whether this process may let a reply grow. Raises LeaseLostError if another one does.

    An interrupted reply may: its writer was taken for dead and is not, or it is being continued.
    """
    if row.finish_reason not in (None, FinishReason.INTERRUPTED):
        return False
    if leases.is_held_elsewhere(db, row):
        raise LeaseLostError("Another window writes this reply by now; close one of the two.")
    return True
