"""What a person changes about a session. Every function runs inside a write transaction."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.values.conversation import Summary
from assistant.values.errors import StorageError
from assistant.values.sampling import Parameters
from storage import attaching, reading
from storage.ids import one_line, storable
from storage.tables import DraftPictureRow, DraftRow, SessionPictureRow, SessionRow
from storage.types import utc_now


def rename(db: Session, session_id: str, title: str) -> None:
    """Give a session another title."""
    new = one_line(title, length=200)
    if not new:
        raise StorageError("A title needs at least one visible character; type one.")
    reading.session_row(db, session_id).title = new


def set_pinned(db: Session, session_id: str, pinned: bool) -> None:
    """Pin a session, or let it go."""
    reading.session_row(db, session_id).pinned = pinned


def set_head(db: Session, session_id: str, turn_id: str) -> None:
    """Make the branch that ends with a turn the current one."""
    session = reading.session_row(db, session_id)
    session.head_key = reading.turn_row(db, turn_id, session).key


def set_model(db: Session, session_id: str, model: str | None) -> None:
    """Choose the model of a session."""
    reading.session_row(db, session_id).model = None if model is None else storable(model)


def set_system(db: Session, session_id: str, system: str | None) -> None:
    """Give a session its own system prompt."""
    reading.session_row(db, session_id).system = None if system is None else storable(system)


def set_parameters(db: Session, session_id: str, parameters: Parameters) -> None:
    """Choose what a session generates with."""
    chosen = parameters.values() or None
    reading.session_row(db, session_id).parameters = chosen


def set_summary(db: Session, session_id: str, summary: Summary | None) -> None:
    """Keep, replace or forget the summary of a session's earlier turns."""
    session = reading.session_row(db, session_id)
    if summary is None:
        session.summary = None
        return
    reading.turn_row(db, summary.upto, session)
    session.summary = asdict(summary) | {"text": storable(summary.text)}


def picture_row(db: Session, session_id: str, number: int) -> SessionPictureRow:
    """The row of a session's picture. Raises StorageError when it has no such number."""
    session = reading.session_row(db, session_id)
    row = db.get(SessionPictureRow, (session.key, number))
    if row is None:
        raise StorageError(f"This session has no picture {number}; look up its number.")
    return row


def hide(db: Session, session_id: str) -> None:
    """Delete a session so that it can be restored."""
    reading.session_row(db, session_id).deleted = utc_now()


def restore(db: Session, session_id: str) -> None:
    """Bring back a session that was hidden."""
    reading.session_row(db, session_id, or_deleted=True).deleted = None


def is_purgeable(db: Session, before: datetime) -> bool:
    """Whether anything was hidden before a moment."""
    return db.scalar(select(SessionRow.key).where(SessionRow.deleted < before).limit(1)) is not None


def purge(db: Session, before: datetime) -> int:
    """Delete for good what was hidden before a moment; how many sessions that were."""
    keys = list(db.scalars(select(SessionRow.key).where(SessionRow.deleted < before)))
    for key in keys:
        _delete(db, key)
    return len(keys)


def delete_for_good(db: Session, session_id: str) -> None:
    """Delete a session, its turns, and the pictures that nothing else shows."""
    _delete(db, reading.session_row(db, session_id, or_deleted=True).key)


def _delete(db: Session, key: int) -> None:
    attached = select(SessionPictureRow.picture_key).where(SessionPictureRow.session_key == key)
    drafted = (
        select(DraftPictureRow.picture_key)
        .join(DraftRow, DraftRow.key == DraftPictureRow.draft_key)
        .where(DraftRow.session_key == key)
    )
    shown = set(db.scalars(attached.union(drafted)))
    db.execute(delete(SessionRow).where(SessionRow.key == key))
    attaching.delete_unshown(db, shown)
