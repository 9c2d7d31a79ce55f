"""Turns on their way into a session. Every function runs inside a write transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from assistant.values.conversation import (
    Draft,
    FinishReason,
    Parent,
    PictureFile,
    Role,
    Timings,
    Turn,
    TurnKind,
    Usage,
)
from assistant.values.errors import StorageError
from assistant.values.sampling import Parameters
from storage import drafting, reading, writers
from storage.attaching import attach, numbers
from storage.ids import SESSION_LENGTH, TURN_LENGTH, new_id, one_line, storable
from storage.tables import SessionRow, TurnRow
from storage.types import utc_now


def add_user_turn(
    db: Session,
    session_id: str | None,
    draft: Draft,
    parent: str | Parent | None,
    model: str | None,
    system: str | None,
    drop_draft: bool,
) -> tuple[str, Turn]:
    """Store what a person sends, with its pictures; see :meth:`storage.Store.add_user_turn`."""
    session = _new_session(db, draft) if session_id is None else reading.session_row(db, session_id)
    if model is not None:
        session.model = storable(model)
    if system is not None:
        session.system = storable(system)
    above = _above_new(db, session, parent)
    row = _add_turn(db, session, above, Role.USER, storable(draft.text))
    attach(db, session, row, above, draft.pictures)
    if drop_draft:
        drafting.drop(db, session_id)
    return session.id, reading.turn(db, row)


def picture_numbers(
    db: Session,
    session_id: str | None,
    pictures: Sequence[PictureFile],
    parent: str | Parent | None,
) -> list[int]:
    """The numbers that pictures of a new turn would get; stores nothing."""
    if session_id is None:
        return list(range(1, len(pictures) + 1))
    session = reading.session_row(db, session_id)
    return numbers(db, session, _above_new(db, session, parent), pictures)


def add_recall_turn(db: Session, session_id: str, text: str, parent: str | Parent | None) -> Turn:
    """Store a quotation of earlier turns, to which no reply is expected."""
    session = reading.session_row(db, session_id)
    row = _add_turn(db, session, _above_new(db, session, parent), Role.USER, storable(text))
    row.kind = TurnKind.RECALL.value
    row.writer = None
    db.flush()
    return reading.turn(db, row)


def start_reply(
    db: Session,
    session_id: str,
    parent_turn_id: str,
    model: str,
    parameters: Parameters | None,
) -> Turn:
    """Store an empty reply that this process is going to write."""
    session = reading.session_row(db, session_id)
    question = reading.turn_row(db, parent_turn_id, session)
    question.writer = None
    session.model = storable(model)
    row = _add_turn(db, session, question, Role.ASSISTANT, "")
    row.model = session.model
    row.parameters = None if parameters is None else parameters.values()
    db.flush()
    return reading.turn(db, row)


def reopen_reply(db: Session, turn_id: str) -> Turn:
    """Let a reply that has ended grow on, written by this process."""
    row = reading.turn_row(db, turn_id)
    if row.role != Role.ASSISTANT.value or row.finish_reason in (None, FinishReason.STOP.value):
        raise StorageError("This reply can't go on: it is complete, or still being written.")
    row.finish_reason = None
    row.writer = writers.this_process()
    db.flush()
    return reading.turn(db, row)


def checkpoint_reply(db: Session, turn_id: str, text: str, token_ids: Sequence[int] | None) -> None:
    """Store how far a reply has grown; one that has ended meanwhile stays as it is."""
    row = reading.turn_row(db, turn_id)
    if _is_open(row):
        row.text = storable(text)
        row.token_ids = None if token_ids is None else tuple(token_ids)
        row.finish_reason = None
        row.writer = writers.this_process()


def finish_reply(
    db: Session,
    turn_id: str,
    text: str,
    token_ids: Sequence[int] | None,
    finish_reason: FinishReason,
    usage: Usage | None,
    timings: Timings | None,
) -> Turn:
    """Store a reply's end; one that has ended before stays as it is."""
    row = reading.turn_row(db, turn_id)
    if _is_open(row):
        row.text = storable(text)
        row.token_ids = None if token_ids is None else tuple(token_ids)
        row.finish_reason = finish_reason.value
        row.usage = None if usage is None else asdict(usage)
        row.timings = None if timings is None else asdict(timings)
        row.writer = None
        db.get_one(SessionRow, row.session_key).updated = utc_now()
        db.flush()
    return reading.turn(db, row)


def unfinished_writers(db: Session) -> list[str]:
    """Everyone who has a turn in hand."""
    # The condition is that of a partial index: what is finished is not looked at.
    in_hand = select(TurnRow.writer).where(TurnRow.writer.is_not(None)).distinct()
    return [writer for writer in db.scalars(in_hand) if writer is not None]


def interrupt(db: Session, writer: str, before: datetime | None = None) -> int:
    """Mark the unfinished replies of ``writer`` (made ``before`` a moment); how many they were."""
    mine = update(TurnRow).where(TurnRow.writer == writer)
    if before is not None:
        mine = mine.where(TurnRow.created < before)
    replies = db.execute(
        mine.where(TurnRow.role == Role.ASSISTANT.value).values(
            finish_reason=FinishReason.INTERRUPTED.value, writer=None
        )
    )
    db.execute(mine.values(writer=None))
    assert isinstance(replies, CursorResult)
    return replies.rowcount


def _is_open(row: TurnRow) -> bool:
    """Whether a reply may still grow.

    An interrupted one may: its writer was taken for dead and is not, or the
    reply is being continued.
    """
    return row.finish_reason in (None, FinishReason.INTERRUPTED.value)


def _new_session(db: Session, draft: Draft) -> SessionRow:
    names = (one_line(picture.name) for picture in draft.pictures)
    title = one_line(draft.text) or next(filter(None, names), "") or "New conversation"
    now = utc_now()
    session = SessionRow(
        id=unused_id(db, SessionRow, SESSION_LENGTH),
        title=title,
        created=now,
        updated=now,
        pinned=False,
    )
    db.add(session)
    db.flush()
    return session


def unused_id(db: Session, table: type[SessionRow] | type[TurnRow], length: int) -> str:
    """A new id that no row of the table has."""
    while db.scalar(select(table.key).where(table.id == (new := new_id(length)))) is not None:
        pass
    return new


def _add_turn(
    db: Session, session: SessionRow, above: TurnRow | None, role: Role, text: str
) -> TurnRow:
    """Add a turn that this process has in hand, and make it the head."""
    now = utc_now()
    row = TurnRow(
        id=unused_id(db, TurnRow, TURN_LENGTH),
        session_key=session.key,
        parent_key=None if above is None else above.key,
        depth=1 if above is None else above.depth + 1,
        role=role.value,
        text=text,
        created=now,
        writer=writers.this_process(),
    )
    db.add(row)
    db.flush()
    session.head_key = row.key
    session.updated = now
    return row


def _end_of_branch(db: Session, session: SessionRow) -> TurnRow | None:
    """The turn that a new message follows.

    It is the head, except while another live terminal is being answered there:
    then the message becomes a sibling of that terminal's, which its sender had
    not seen when they wrote theirs.
    """
    row = None if session.head_key is None else db.get_one(TurnRow, session.head_key)
    while row is not None and _is_elsewhere(row):
        message = _above(db, row) if row.role == Role.ASSISTANT.value else row
        row = None if message is None else _above(db, message)
    return row


def _above_new(db: Session, session: SessionRow, parent: str | Parent | None) -> TurnRow | None:
    """The turn that a new one follows."""
    match parent:
        case Parent.HEAD:
            return _end_of_branch(db, session)
        case None:
            return None
        case str():
            return reading.turn_row(db, parent, session)


def _above(db: Session, row: TurnRow) -> TurnRow | None:
    return None if row.parent_key is None else db.get_one(TurnRow, row.parent_key)


def _is_elsewhere(row: TurnRow) -> bool:
    """Whether another process has this turn in hand (and is not known to be dead)."""
    writer = row.writer
    if writer is None or writer == writers.this_process():
        return False
    return writers.is_alive(writer) is not False
