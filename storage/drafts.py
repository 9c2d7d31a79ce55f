"""Drafts: messages typed and not sent yet. They survive a restart."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.values.conversation import Draft
from storage import locks, pictures
from storage.column_types import utc_now
from storage.ids import storable
from storage.rows import session_row, turn_row
from storage.schema import (
    PICTURE_OF_TURN,
    DraftPictureRow,
    DraftRow,
    SessionPictureRow,
    TurnPictureRow,
)


def save(db: Session, session_id: str | None, draft: Draft) -> None:
    """Store the draft of a session (None: of a new one) in the place of the draft before.

    An empty draft only deletes that. Picture bytes that are stored already are not written again.
    """
    if session_id is None:
        locks.lock_owner(db)
    before = _row(db, session_id)
    if not draft.text and not draft.pictures:
        if before is not None:
            _delete(db, before)
        return
    shown = [] if before is None else _picture_keys(db, before)
    row = before or DraftRow(session_key=_session_key(db, session_id))
    row.text = storable(draft.text)
    row.updated = utc_now()
    db.add(row)
    db.flush()
    db.execute(delete(DraftPictureRow).where(DraftPictureRow.draft_key == row.key))
    for position, picture in enumerate(draft.pictures):
        db.add(
            DraftPictureRow(
                draft_key=row.key,
                position=position,
                **pictures.shown_columns(db, picture),
            )
        )
    db.flush()
    pictures.delete_unshown(db, shown)


def read(db: Session, session_id: str | None) -> Draft | None:
    """Read the draft of a session (None: of a new one) with its pictures' bytes, or None."""
    row = _row(db, session_id)
    if row is None:
        return None
    of_draft = pictures.with_bytes(DraftPictureRow).where(DraftPictureRow.draft_key == row.key)
    found = db.execute(of_draft.order_by(DraftPictureRow.position))
    return Draft(row.text, tuple(pictures.file_of(*one) for one in found))


def of_turn(db: Session, session_id: str, turn_id: str) -> Draft:
    """Read a stored message as a draft: its text, and its pictures with their bytes."""
    turn = turn_row(db, turn_id, session_row(db, session_id))
    attached = pictures.with_bytes(SessionPictureRow).join(TurnPictureRow, PICTURE_OF_TURN)
    of_turn = attached.where(TurnPictureRow.turn_key == turn.key)
    found = db.execute(of_turn.order_by(TurnPictureRow.position))
    return Draft(turn.text, tuple(pictures.file_of(*one) for one in found))


def drop(db: Session, session_id: str | None) -> None:
    """Delete the draft of a session (None: of a new one), if there is one."""
    if session_id is None:
        locks.lock_owner(db)
    row = _row(db, session_id)
    if row is not None:
        _delete(db, row)


def _row(db: Session, session_id: str | None) -> DraftRow | None:
    key = _session_key(db, session_id)
    here = DraftRow.session_key.is_(None) if key is None else DraftRow.session_key == key
    return db.scalar(select(DraftRow).where(here))


def _session_key(db: Session, session_id: str | None) -> int | None:
    return None if session_id is None else session_row(db, session_id).key


def _picture_keys(db: Session, row: DraftRow) -> set[int]:
    of_draft = DraftPictureRow.draft_key == row.key
    return set(db.scalars(select(DraftPictureRow.picture_key).where(of_draft)))


def _delete(db: Session, row: DraftRow) -> None:
    shown = _picture_keys(db, row)
    db.execute(delete(DraftRow).where(DraftRow.key == row.key))
    pictures.delete_unshown(db, shown)
