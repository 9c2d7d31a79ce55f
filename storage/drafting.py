"""What was typed and not sent yet: it survives a restart."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, undefer

from assistant.values.conversation import Draft, PictureFile
from storage import attaching, reading
from storage.ids import storable
from storage.tables import (
    DraftPictureRow,
    DraftRow,
    PictureRow,
    SessionPictureRow,
    ThumbnailRow,
    TurnPictureRow,
)
from storage.types import utc_now


def save(db: Session, session_id: str | None, draft: Draft) -> None:
    """Keep ``draft`` in the place of the one before; an empty one only drops that."""
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
                picture_key=attaching.stored(db, picture),
                name=storable(picture.name),
                num_crops=picture.num_crops,
            )
        )
    db.flush()
    attaching.delete_unshown(db, shown)


def read(db: Session, session_id: str | None) -> Draft | None:
    """The draft of a session, or of a new one, with the bytes of its pictures."""
    row = _row(db, session_id)
    if row is None:
        return None
    found = db.execute(
        select(DraftPictureRow, PictureRow, ThumbnailRow.data)
        .join(PictureRow, PictureRow.key == DraftPictureRow.picture_key)
        .outerjoin(ThumbnailRow, ThumbnailRow.picture_key == PictureRow.key)
        .where(DraftPictureRow.draft_key == row.key)
        .order_by(DraftPictureRow.position)
        .options(undefer(PictureRow.data))
    )
    return Draft(row.text, tuple(_file(*one) for one in found))


def of_turn(db: Session, session_id: str, turn_id: str) -> Draft:
    """A stored message as a draft, with the bytes of its pictures."""
    turn = reading.turn_row(db, turn_id, reading.session_row(db, session_id))
    found = db.execute(
        select(SessionPictureRow, PictureRow, ThumbnailRow.data)
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .join(
            TurnPictureRow,
            (TurnPictureRow.session_key == SessionPictureRow.session_key)
            & (TurnPictureRow.number == SessionPictureRow.number),
        )
        .outerjoin(ThumbnailRow, ThumbnailRow.picture_key == PictureRow.key)
        .where(TurnPictureRow.turn_key == turn.key)
        .order_by(TurnPictureRow.position)
        .options(undefer(PictureRow.data))
    )
    return Draft(turn.text, tuple(_file(*one) for one in found))


def _file(
    shown: DraftPictureRow | SessionPictureRow, picture: PictureRow, thumbnail: bytes | None
) -> PictureFile:
    return PictureFile(
        name=shown.name,
        data=picture.data,
        sha256=picture.sha256,
        pixels_sha256=picture.pixels_sha256,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        num_crops=shown.num_crops,
        thumbnail=thumbnail,
    )


def drop(db: Session, session_id: str | None) -> None:
    """Forget the draft of a session, or of a new one, if there is one."""
    row = _row(db, session_id)
    if row is not None:
        _delete(db, row)


def _row(db: Session, session_id: str | None) -> DraftRow | None:
    key = _session_key(db, session_id)
    here = DraftRow.session_key.is_(None) if key is None else DraftRow.session_key == key
    return db.scalar(select(DraftRow).where(here))


def _session_key(db: Session, session_id: str | None) -> int | None:
    return None if session_id is None else reading.session_row(db, session_id).key


def _picture_keys(db: Session, row: DraftRow) -> set[int]:
    of_draft = DraftPictureRow.draft_key == row.key
    return set(db.scalars(select(DraftPictureRow.picture_key).where(of_draft)))


def _delete(db: Session, row: DraftRow) -> None:
    shown = _picture_keys(db, row)
    db.execute(delete(DraftRow).where(DraftRow.key == row.key))
    attaching.delete_unshown(db, shown)
