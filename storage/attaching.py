"""Pictures on their way into a session: stored once, numbered for ever."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assistant.conversation import PictureFile, Role
from storage.ids import storable
from storage.tables import PictureRow, SessionPictureRow, SessionRow, TurnPictureRow, TurnRow


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
    kept = _numbers_of_siblings(db, session, above) if pictures else {}
    for position, picture in enumerate(pictures):
        numbers = kept.get(picture.sha256)
        number = numbers.popleft() if numbers else _new_number(db, session, picture)
        db.add(
            TurnPictureRow(
                turn_key=row.key, position=position, session_key=session.key, number=number
            )
        )
    db.flush()


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
    numbers: defaultdict[str, deque[int]] = defaultdict(deque)
    for sha256, number in found:
        numbers[sha256].append(number)
    return numbers


def _new_number(db: Session, session: SessionRow, picture: PictureFile) -> int:
    key = db.scalar(select(PictureRow.key).where(PictureRow.sha256 == picture.sha256))
    if key is None:
        stored = PictureRow(
            sha256=picture.sha256,
            pixels_sha256=picture.pixels_sha256,
            media_type=picture.media_type,
            width=picture.width,
            height=picture.height,
            data=picture.data,
        )
        db.add(stored)
        db.flush()
        key = stored.key
    of_session = SessionPictureRow.session_key == session.key
    highest = db.scalar(select(func.max(SessionPictureRow.number)).where(of_session))
    number = (highest or 0) + 1
    name = storable(picture.name)
    db.add(SessionPictureRow(session_key=session.key, number=number, picture_key=key, name=name))
    db.flush()
    return number
