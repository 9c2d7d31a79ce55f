"""Pictures on their way into a session: stored once, numbered for ever."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from itertools import count

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from assistant.values.conversation import PictureFile, Role
from storage.ids import storable
from storage.tables import (
    DraftPictureRow,
    PictureRow,
    SessionPictureRow,
    SessionRow,
    ThumbnailRow,
    TurnPictureRow,
    TurnRow,
)


def attach(
    db: Session,
    session: SessionRow,
    row: TurnRow,
    above: TurnRow | None,
    pictures: Sequence[PictureFile],
) -> None:
    """Give each picture its number in the session, and show them with the turn ``row``.

    ``above`` is the turn that ``row`` follows. The bytes of a picture are stored
    once, whatever their name and however often they are attached.
    """
    new = _next_number(db, session)
    for position, (picture, number) in enumerate(
        zip(pictures, numbers(db, session, above, pictures), strict=True)
    ):
        if number >= new:
            _add(db, session, number, picture)
        elif picture.num_crops is not None:
            kept = db.get_one(SessionPictureRow, (session.key, number))
            kept.num_crops = picture.num_crops
        db.add(
            TurnPictureRow(
                turn_key=row.key, position=position, session_key=session.key, number=number
            )
        )
    db.flush()


def numbers(
    db: Session, session: SessionRow, above: TurnRow | None, pictures: Sequence[PictureFile]
) -> list[int]:
    """The numbers that pictures get where a message with them follows the turn ``above``."""
    kept = _numbers_of_siblings(db, session, above) if pictures else {}
    coming = count(_next_number(db, session))
    same = (kept.get(picture.sha256) for picture in pictures)
    return [left.popleft() if left else next(coming) for left in same]


def _numbers_of_siblings(
    db: Session, session: SessionRow, above: TurnRow | None
) -> dict[str, deque[int]]:
    """Numbers that the same pictures have in other versions of this message.

    Editing a message attaches its pictures again without a person having done so:
    they keep their numbers.
    """
    parent = TurnRow.parent_key.is_(None) if above is None else TurnRow.parent_key == above.key
    found = db.execute(
        select(PictureRow.sha256, SessionPictureRow.number)
        .distinct()
        .join(SessionPictureRow, SessionPictureRow.picture_key == PictureRow.key)
        .join(
            TurnPictureRow,
            (TurnPictureRow.session_key == SessionPictureRow.session_key)
            & (TurnPictureRow.number == SessionPictureRow.number),
        )
        .join(TurnRow, TurnRow.key == TurnPictureRow.turn_key)
        .where(TurnRow.session_key == session.key, parent, TurnRow.role == Role.USER.value)
        .order_by(SessionPictureRow.number)
    )
    by_picture: defaultdict[str, deque[int]] = defaultdict(deque)
    for sha256, number in found:
        by_picture[sha256].append(number)
    return by_picture


def _next_number(db: Session, session: SessionRow) -> int:
    of_session = SessionPictureRow.session_key == session.key
    highest = db.scalar(select(func.max(SessionPictureRow.number)).where(of_session))
    return (highest or 0) + 1


def _add(db: Session, session: SessionRow, number: int, picture: PictureFile) -> None:
    db.add(
        SessionPictureRow(
            session_key=session.key,
            number=number,
            picture_key=stored(db, picture),
            name=storable(picture.name),
            num_crops=picture.num_crops,
        )
    )
    db.flush()


def stored(db: Session, picture: PictureFile) -> int:
    """The key of a picture's bytes, which are stored now unless they are there already."""
    key = db.scalar(select(PictureRow.key).where(PictureRow.sha256 == picture.sha256))
    if key is None:
        row = PictureRow(
            sha256=picture.sha256,
            pixels_sha256=picture.pixels_sha256,
            media_type=picture.media_type,
            width=picture.width,
            height=picture.height,
            data=picture.data,
        )
        db.add(row)
        db.flush()
        key = row.key
    if picture.thumbnail is not None and db.get(ThumbnailRow, key) is None:
        db.add(ThumbnailRow(picture_key=key, data=picture.thumbnail))
    return key


def delete_unshown(db: Session, keys: Collection[int]) -> None:
    """Delete those of the pictures that no session and no draft shows any more."""
    for key in keys:
        db.execute(
            delete(PictureRow).where(
                PictureRow.key == key,
                ~exists().where(SessionPictureRow.picture_key == key),
                ~exists().where(DraftPictureRow.picture_key == key),
            )
        )
