"""Pictures of all chats: where each was shown, and whether one was shown before."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from assistant.values.conversation import Picture, PictureFile, Role, ShownPicture
from assistant.values.errors import StorageError
from storage.pictures import alike, file_of, plain_look, with_bytes
from storage.rows import session_row, values
from storage.schema import PictureRow, SessionPictureRow, SessionRow, TurnPictureRow, TurnRow

_MOST = 2000
"""Uses of pictures that are looked through: the newest."""


def shown(db: Session, words: str = "", *, limit: int = 200) -> list[ShownPicture]:
    """List the pictures of all chats, the newest first, each where it was attached.

    All ``words`` stand in its name, in the chat's title, in the message or in its replies.
    """
    wanted = words.casefold().split()
    found = []
    for one in _uses(db, _all().limit(_MOST)):
        said = " ".join((one.picture.name, one.session_title, one.text, one.reply)).casefold()
        if all(word in said for word in wanted):
            found.append(one)
            if len(found) == limit:
                break
    return found


def shown_before(db: Session, file: PictureFile) -> ShownPicture | None:
    """Find the newest place where this very picture was attached, else one that looks like it."""
    same = PictureRow.pixels_sha256 == file.pixels_sha256
    if exact := next(_uses(db, _all().where(same).limit(1)), None):
        return exact
    if file.look is None or plain_look(file.look):
        return None
    looks = db.execute(select(PictureRow.key, PictureRow.look).where(PictureRow.look.is_not(None)))
    keys = [key for key, look in looks if look is not None and alike(look, file.look)]
    return next(_uses(db, _all().where(PictureRow.key.in_(keys[:500])).limit(1)), None)


def file(db: Session, session_id: str, number: int) -> PictureFile:
    """Read a picture of a session with its bytes, to be attached elsewhere."""
    found = db.execute(
        with_bytes(SessionPictureRow).where(
            SessionPictureRow.session_key == session_row(db, session_id).key,
            SessionPictureRow.number == number,
        )
    ).first()
    if found is None:
        raise StorageError(f"This chat has no picture {number}; look up its number.")
    return file_of(*found)


def _all() -> Select[SessionPictureRow, PictureRow, SessionRow, TurnRow, str | None]:
    first = (
        select(
            TurnPictureRow.session_key,
            TurnPictureRow.number,
            func.min(TurnPictureRow.turn_key).label("turn_key"),
        )
        .group_by(TurnPictureRow.session_key, TurnPictureRow.number)
        .subquery()
    )
    answer = aliased(TurnRow)
    reply = (
        select(func.max(answer.text))
        .where(
            answer.session_key == TurnRow.session_key,
            answer.parent_key == TurnRow.key,
            answer.role == Role.ASSISTANT,
        )
        .scalar_subquery()
    )
    return (
        select(SessionPictureRow, PictureRow, SessionRow, TurnRow, reply)
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .join(SessionRow, SessionRow.key == SessionPictureRow.session_key)
        .join(
            first,
            (first.c.session_key == SessionPictureRow.session_key)
            & (first.c.number == SessionPictureRow.number),
        )
        .join(TurnRow, TurnRow.key == first.c.turn_key)
        .where(SessionRow.deleted.is_(None))
        .order_by(TurnRow.key.desc(), SessionPictureRow.number)
    )


def _uses(
    db: Session, query: Select[SessionPictureRow, PictureRow, SessionRow, TurnRow, str | None]
) -> Iterator[ShownPicture]:
    for numbered, picture, session, turn, reply in db.execute(query):
        yield ShownPicture(
            picture=Picture(**values(numbered, Picture), **values(picture, Picture)),
            session_id=session.id,
            session_title=session.title,
            turn_id=turn.id,
            text=turn.text,
            reply=reply or "",
            created=turn.created,
        )
