"""Pictures: stored once, numbered per session for ever."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, delete, exists, func, select
from sqlalchemy.orm import Session, undefer

from assistant.values.conversation import PictureFile, Role
from assistant.values.errors import StorageError
from assistant.values.origin import Origin
from assistant.values.region import Region
from storage import locks
from storage.ids import storable
from storage.rows import common, session_row, values
from storage.schema import (
    PICTURE_OF_TURN,
    Base,
    DraftPictureRow,
    PictureRow,
    SessionPictureRow,
    SessionRow,
    ThumbnailRow,
    TurnPictureRow,
    TurnRow,
)

Shown = TypeVar("Shown", SessionPictureRow, DraftPictureRow)


class OpenPicture(Protocol):
    """Opens a picture from bytes or a path. Raises PictureError."""

    def __call__(self, source: bytes | Path, *, name: str | None = None) -> PictureFile: ...


PLAIN_BITS = 6
"""A look with fewer bits of one kind says too little: a page with a line, a plain ground."""
ALIKE_BITS = 5
"""Bits in which the looks of a picture and of its smaller or brighter copy differ at most."""


def plain_look(look: int) -> bool:
    """Whether a look says too little to find a picture by."""
    ones = (look & (1 << 64) - 1).bit_count()
    return not PLAIN_BITS <= ones <= 64 - PLAIN_BITS


def alike(look: int, other: int) -> bool:
    """Whether two looks differ in few bits."""
    return ((look ^ other) & (1 << 64) - 1).bit_count() <= ALIKE_BITS


def data(db: Session, sha256: str) -> bytes:
    """Read the original bytes of a picture. Raises StorageError when there is none."""
    found = db.scalar(select(PictureRow.data).where(PictureRow.sha256 == sha256))
    if found is None:
        raise StorageError("This picture is no longer stored; attach it again.")
    return found


def with_bytes(table: type[Shown]) -> Select[Shown, PictureRow, bytes]:
    """Select rows that show pictures, and all that is stored of these: see :func:`file_of`."""
    return (
        select(table, PictureRow, ThumbnailRow.data)
        .join(PictureRow, PictureRow.key == table.picture_key)
        .outerjoin(ThumbnailRow, ThumbnailRow.picture_key == PictureRow.key)
        .options(undefer(PictureRow.data))
    )


def file_of(shown: Base, picture: PictureRow, thumbnail: bytes | None) -> PictureFile:
    """Make a picture with its bytes of a row of :func:`with_bytes`."""
    stored = values(picture, PictureFile) | values(shown, PictureFile)
    return PictureFile(**stored, thumbnail=thumbnail)


def thumbnail(db: Session, sha256: str) -> bytes | None:
    """Read a small JPEG of a picture, or None when it was stored without one."""
    of_picture = PictureRow.key == ThumbnailRow.picture_key
    return db.scalar(
        select(ThumbnailRow.data).join(PictureRow, of_picture).where(PictureRow.sha256 == sha256)
    )


def set_crops(db: Session, session_id: str, number: int, num_crops: int | None) -> None:
    """Limit the crops that a session's picture may take; None: chosen automatically.

    Raises StorageError when the session has no picture of this number.
    """
    _numbered(db, session_id, number).num_crops = num_crops


def set_pinned(db: Session, session_id: str, number: int, pinned: bool) -> None:
    """Pin a session's picture, so that it is always in the model's context, or unpin it.

    Raises StorageError when the session has no picture of this number.
    """
    _numbered(db, session_id, number).pinned = pinned


def _numbered(db: Session, session_id: str, number: int) -> SessionPictureRow:
    row = db.get(SessionPictureRow, (session_row(db, session_id).key, number))
    if row is None:
        raise StorageError(f"This chat has no picture {number}; look up its number.")
    return row


def attach(
    db: Session,
    session: SessionRow,
    row: TurnRow,
    above: TurnRow | None,
    pictures: Sequence[PictureFile],
) -> None:
    """Give each picture its number in the session, and show them with the turn ``row``.

    ``above`` is the turn that ``row`` follows. The bytes of a picture are stored once, whatever
    their name and however often they are attached.
    """
    new = next_number(db, session)
    numbered = list(zip(pictures, numbers(db, session, above, pictures), strict=True))
    for position, (picture, number) in enumerate(numbered):
        if number >= new:
            columns = shown_columns(db, picture)
            db.add(SessionPictureRow(session_key=session.key, number=number, **columns))
            db.flush()
        elif picture.num_crops is not None:
            kept = db.get_one(SessionPictureRow, (session.key, number))
            kept.num_crops = picture.num_crops
        db.add(
            TurnPictureRow(
                turn_key=row.key, position=position, session_key=session.key, number=number
            )
        )
    db.flush()
    for picture, number in numbered:
        if picture.region is not None and number >= new:
            whole = _latest_number(db, session, picture.region.sha256)
            added = db.get_one(SessionPictureRow, (session.key, number))
            added.region = replace(picture.region, number=whole)
    db.flush()


def _latest_number(db: Session, session: SessionRow, sha256: str) -> int:
    """Find the number that a picture got last in a session; 0 where it is in none."""
    latest = (
        select(func.max(SessionPictureRow.number))
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .where(SessionPictureRow.session_key == session.key, PictureRow.sha256 == sha256)
    )
    return db.scalar(latest) or 0


def numbers(
    db: Session, session: SessionRow, above: TurnRow | None, pictures: Sequence[PictureFile]
) -> list[int]:
    """Return the numbers that pictures get in a message that follows the turn ``above``."""
    kept = _numbers_of_siblings(db, session, above) if pictures else {}
    coming = count(next_number(db, session))
    same = (kept.get(_identity(one.sha256, one.region, one.origin)) for one in pictures)
    return [left.popleft() if left else next(coming) for left in same]


_Identity = tuple[str, Region | None, Origin | None]


def _identity(sha256: str, region: Region | None, origin: Origin | None) -> _Identity:
    """Tell two parts with the same pixels apart: two blank pages, two pieces of one."""
    return sha256, region and replace(region, number=0), origin


def _numbers_of_siblings(
    db: Session, session: SessionRow, above: TurnRow | None
) -> dict[_Identity, deque[int]]:
    """Find the numbers that the same pictures have in other versions of this message.

    Editing a message attaches its pictures again without the user having done so: they keep their
    numbers.
    """
    parent = TurnRow.parent_key.is_(None) if above is None else TurnRow.parent_key == above.key
    found = db.execute(
        select(SessionPictureRow, PictureRow.sha256)
        .join(SessionPictureRow, SessionPictureRow.picture_key == PictureRow.key)
        .join(TurnPictureRow, PICTURE_OF_TURN)
        .join(TurnRow, TurnRow.key == TurnPictureRow.turn_key)
        .where(TurnRow.session_key == session.key, parent, TurnRow.role == Role.USER)
        .order_by(SessionPictureRow.number)
    )
    by_picture: defaultdict[_Identity, deque[int]] = defaultdict(deque)
    by_number = {row.number: _identity(sha256, row.region, row.origin) for row, sha256 in found}
    for number, which in by_number.items():
        by_picture[which].append(number)
    return by_picture


def next_number(db: Session, session: SessionRow) -> int:
    """Return the number of the next picture of a session."""
    of_session = SessionPictureRow.session_key == session.key
    highest = db.scalar(select(func.max(SessionPictureRow.number)).where(of_session))
    return (highest or 0) + 1


def shown_columns(db: Session, picture: PictureFile) -> dict[str, Any]:
    """Store a picture; returns the columns of a row that shows it, in a session or a draft."""
    own = {"picture_key": stored(db, picture), "name": storable(picture.name)}
    return own | {name: getattr(picture, name) for name in ("num_crops", "region", "origin")}


def stored(db: Session, picture: PictureFile) -> int:
    """Store a picture's bytes unless they are stored already; returns their key."""
    locks.lock_owner(db)
    key = db.scalar(select(PictureRow.key).where(PictureRow.sha256 == picture.sha256))
    if key is None:
        names = common(PictureRow, PictureFile)
        row = PictureRow(**{name: getattr(picture, name) for name in names})
        db.add(row)
        db.flush()
        key = row.key
    if picture.thumbnail is not None and db.get(ThumbnailRow, key) is None:
        db.add(ThumbnailRow(picture_key=key, data=picture.thumbnail))
    return key


def delete_unshown(db: Session, keys: Collection[int]) -> None:
    """Delete those of the pictures that no session and no draft shows."""
    if keys:
        locks.lock_owner(db)
    for key in keys:
        db.execute(
            delete(PictureRow).where(
                PictureRow.key == key,
                ~exists().where(SessionPictureRow.picture_key == key),
                ~exists().where(DraftPictureRow.picture_key == key),
            )
        )
