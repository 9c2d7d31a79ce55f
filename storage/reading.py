"""From rows to the plain values of :mod:`assistant.values.conversation`. Nothing here writes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session, aliased

from assistant.values.conversation import (
    Conversation,
    FinishReason,
    Picture,
    Role,
    SessionSummary,
    Summary,
    Timings,
    Turn,
    TurnKind,
    Usage,
)
from assistant.values.errors import SessionNotFoundError, StorageError
from assistant.values.sampling import PARAMETERS, Parameters
from storage.ids import as_typed
from storage.tables import (
    PictureRow,
    SessionPictureRow,
    SessionRow,
    ThumbnailRow,
    TurnPictureRow,
    TurnRow,
)

_SHOWN_MATCHES = 5

_EVERY = 2**63 - 1
"""More rows than there are; no database takes a larger number."""

_V = TypeVar("_V", Usage, Timings, Summary)


def summaries(db: Session, limit: int, offset: int) -> list[SessionSummary]:
    """Pinned sessions, then the others, the most recently used first; reads no texts."""
    head = aliased(TurnRow)
    pictures = (
        select(func.count())
        .select_from(SessionPictureRow)
        .where(SessionPictureRow.session_key == SessionRow.key)
        .scalar_subquery()
    )
    found = db.execute(
        select(
            SessionRow.id,
            SessionRow.title,
            SessionRow.created,
            SessionRow.updated,
            func.coalesce(head.depth, 0),
            pictures,
            SessionRow.model,
            SessionRow.pinned,
        )
        .outerjoin(head, head.key == SessionRow.head_key)
        .where(SessionRow.deleted.is_(None))
        .order_by(SessionRow.pinned.desc(), SessionRow.updated.desc(), SessionRow.key.desc())
        .limit(min(limit, _EVERY))
        .offset(min(offset, _EVERY))
    )
    return [SessionSummary(*row) for row in found]


def latest(db: Session) -> str | None:
    """The id of the session used last."""
    kept = select(SessionRow.id).where(SessionRow.deleted.is_(None))
    return db.scalar(kept.order_by(SessionRow.updated.desc(), SessionRow.key.desc()).limit(1))


def models(db: Session) -> list[str]:
    """The models of sessions, the most recently used first."""
    used = select(SessionRow.model).where(SessionRow.deleted.is_(None), SessionRow.model != "")
    found = db.scalars(
        used.group_by(SessionRow.model).order_by(func.max(SessionRow.updated).desc())
    )
    return [model for model in found if model is not None]


def find(db: Session, typed: str) -> str:
    """The id of the one session that ``typed`` is the id of, or the beginning of."""
    wanted = as_typed(typed)
    matches = select(SessionRow.id).where(
        SessionRow.id.startswith(wanted, autoescape=True), SessionRow.deleted.is_(None)
    )
    found = list(db.scalars(matches.order_by(SessionRow.id).limit(_SHOWN_MATCHES + 1)))
    if wanted in found:
        return wanted
    if not wanted or not found:
        raise _no_session(typed)
    if len(found) > 1:
        shown = ", ".join(found[:_SHOWN_MATCHES]) + (", …" if len(found) > _SHOWN_MATCHES else "")
        raise SessionNotFoundError(
            f'More than one session begins with "{wanted}" ({shown}); type more of the id.'
        )
    return found[0]


def session_row(db: Session, session_id: str, *, or_deleted: bool = False) -> SessionRow:
    """The row of a session that is not deleted. Raises SessionNotFoundError."""
    row = db.scalar(select(SessionRow).where(SessionRow.id == session_id))
    if row is None or (row.deleted is not None and not or_deleted):
        raise _no_session(session_id)
    return row


def turn_row(db: Session, turn_id: str, session: SessionRow | None = None) -> TurnRow:
    """The row of a turn, of ``session`` if that is given. Raises SessionNotFoundError."""
    row = db.scalar(select(TurnRow).where(TurnRow.id == turn_id))
    if row is None or (session is not None and row.session_key != session.key):
        raise SessionNotFoundError(
            "This turn is gone, its session was probably deleted in another window; "
            "start a new one."
        )
    return row


def conversation(db: Session, session_id: str, head: str | None) -> Conversation:
    """The branch of a session that ends with its head, or with the turn ``head``."""
    row = session_row(db, session_id)
    last = row.head_key if head is None else turn_row(db, head, row).key
    return Conversation(
        id=row.id,
        title=row.title,
        created=row.created,
        updated=row.updated,
        turns=() if last is None else turns(db, row, branch(last)),
        system=row.system,
        model=row.model,
        pinned=row.pinned,
        parameters=_parameters(row.parameters) or Parameters(),
        summary=_value(Summary, row.summary),
    )


def all_turns(db: Session, session_id: str) -> tuple[Turn, ...]:
    """Every turn of every branch, in the order they were stored."""
    row = session_row(db, session_id)
    return turns(db, row, select(TurnRow.key).where(TurnRow.session_key == row.key))


def turn(db: Session, row: TurnRow) -> Turn:
    """The value of one row."""
    session = db.get_one(SessionRow, row.session_key)
    return turns(db, session, select(TurnRow.key).where(TurnRow.key == row.key))[0]


def picture_data(db: Session, sha256: str) -> bytes:
    """The original bytes of a picture."""
    data = db.scalar(select(PictureRow.data).where(PictureRow.sha256 == sha256))
    if data is None:
        raise StorageError("This picture is no longer stored; attach it again.")
    return data


def thumbnail(db: Session, sha256: str) -> bytes | None:
    """A small version of a picture, if one was stored with it."""
    of_picture = PictureRow.key == ThumbnailRow.picture_key
    return db.scalar(
        select(ThumbnailRow.data).join(PictureRow, of_picture).where(PictureRow.sha256 == sha256)
    )


def branch(last: int, count: int | None = None) -> Select[int]:
    """The keys of a turn and its ancestors, ``count`` of them at most."""
    walked = (
        select(TurnRow.key, TurnRow.parent_key, literal(1).label("n"))
        .where(TurnRow.key == last)
        .cte(recursive=True)
    )
    parent = aliased(TurnRow)
    step = select(parent.key, parent.parent_key, walked.c.n + 1)
    step = step.join(walked, parent.key == walked.c.parent_key)
    if count is not None:
        step = step.where(walked.c.n < count)
    walked = walked.union_all(step)
    return select(walked.c.key)


def turns(db: Session, session: SessionRow, keys: Select[int]) -> tuple[Turn, ...]:
    """The turns with these keys, oldest first: a parent is always stored before its children."""
    pictures = _pictures(db, session, keys)
    parent = aliased(TurnRow)
    found = db.execute(
        select(TurnRow, parent.id)
        .outerjoin(parent, parent.key == TurnRow.parent_key)
        .where(TurnRow.key.in_(keys))
        .order_by(TurnRow.key)
        # Another terminal may have changed a row that this Session has seen before.
        .execution_options(populate_existing=True)
    )
    return tuple(
        Turn(
            id=row.id,
            parent=parent_id,
            role=Role(row.role),
            text=row.text,
            created=row.created,
            pictures=tuple(pictures[row.key]),
            token_ids=row.token_ids,
            finish_reason=None if row.finish_reason is None else FinishReason(row.finish_reason),
            model=row.model,
            usage=_value(Usage, row.usage),
            timings=_value(Timings, row.timings),
            kind=TurnKind(row.kind),
            pinned=row.pinned,
            excluded=row.excluded,
            parameters=_parameters(row.parameters),
        )
        for row, parent_id in found
    )


def _pictures(
    db: Session, session: SessionRow, keys: Select[int]
) -> defaultdict[int, list[Picture]]:
    found = db.execute(
        select(
            TurnPictureRow.turn_key,
            SessionPictureRow.number,
            SessionPictureRow.name,
            SessionPictureRow.num_crops,
            SessionPictureRow.pinned,
            PictureRow.sha256,
            PictureRow.pixels_sha256,
            PictureRow.media_type,
            PictureRow.width,
            PictureRow.height,
        )
        .join(
            SessionPictureRow,
            (SessionPictureRow.session_key == TurnPictureRow.session_key)
            & (SessionPictureRow.number == TurnPictureRow.number),
        )
        .join(PictureRow, PictureRow.key == SessionPictureRow.picture_key)
        .where(TurnPictureRow.session_key == session.key, TurnPictureRow.turn_key.in_(keys))
        .order_by(TurnPictureRow.turn_key, TurnPictureRow.position)
    )
    by_turn: defaultdict[int, list[Picture]] = defaultdict(list)
    for row in found:
        by_turn[row.turn_key].append(
            Picture(
                number=row.number,
                name=row.name,
                sha256=row.sha256,
                pixels_sha256=row.pixels_sha256,
                media_type=row.media_type,
                width=row.width,
                height=row.height,
                num_crops=row.num_crops,
                pinned=row.pinned,
            )
        )
    return by_turn


def _parameters(stored: dict[str, Any] | None) -> Parameters | None:
    if stored is None:
        return None
    # a parameter that a later version added is no error for this one
    return Parameters(
        **{name: _from_json(value) for name, value in stored.items() if name in PARAMETERS}
    )


def _value(kind: type[_V], stored: dict[str, Any] | None) -> _V | None:
    if stored is None:
        return None
    # What a later version adds is not an error for this one.
    known = (field.name for field in fields(kind) if field.name in stored)
    return kind(**{name: _from_json(stored[name]) for name in known})


def _from_json(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _no_session(typed: str) -> SessionNotFoundError:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in typed)
    return SessionNotFoundError(
        f'There is no session "{shown}"; list them with: phichat sessions list.'
    )
