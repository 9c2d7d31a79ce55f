"""Sessions: listed, found, changed and deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete as delete_rows, func, select
from sqlalchemy.orm import Session, aliased

from assistant.values.conversation import UNREADABLE_MOMENT, SessionSummary, Summary
from assistant.values.errors import SessionNotFoundError, StorageError
from assistant.values.sampling import Parameters
from storage import locks, pictures
from storage.column_types import utc_now
from storage.ids import as_typed, storable, title_of
from storage.rows import no_session, own, session_row, turn_row
from storage.schema import DraftPictureRow, DraftRow, SessionPictureRow, SessionRow, TurnRow
from storage.transactions import Transactions

_SHOWN_MATCHES = 5

_EVERY = 2**63 - 1
"""Rows: more than any table has, and the largest number that every database takes."""


def summaries(
    db: Session, limit: int = 200, offset: int = 0, *, deleted: bool = False
) -> list[SessionSummary]:
    """List the pinned sessions, then the others, each group the most recently used first.

    With ``deleted`` those that can be restored, the one deleted last first.
    ``turns`` counts the current branch, ``pictures`` all that were ever attached. Reads no texts.
    """
    head = aliased(TurnRow)
    order = (SessionRow.pinned.desc(), SessionRow.updated.desc(), SessionRow.key.desc())
    attached = (
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
            attached,
            SessionRow.model,
            SessionRow.pinned,
            SessionRow.head_key.is_not(None) & head.key.is_(None),
        )
        .outerjoin(head, head.key == SessionRow.head_key)
        .where(_is_deleted(deleted), own(db))
        .order_by(*((SessionRow.deleted.desc(), SessionRow.key.desc()) if deleted else order))
        .limit(min(limit, _EVERY))
        .offset(min(offset, _EVERY))
    )
    return [_summary(*row) for row in found]


def _summary(*row: Any) -> SessionSummary:
    """Make a list's entry, marked where the end of its branch or a moment can't be read."""
    *stored, is_end_lost = row
    damaged = bool(is_end_lost) or UNREADABLE_MOMENT in stored
    return replace(SessionSummary(*stored), damaged=damaged)


def latest(db: Session) -> str | None:
    """Return the id of the session used last, or None when there is none.

    Where a session was used in the future, the clock was wrong, then or now: the turn that was
    stored last decides. Otherwise it doesn't, because imported turns are stored late.
    """
    kept = select(SessionRow.id, SessionRow.updated).where(SessionRow.deleted.is_(None), own(db))
    order = (SessionRow.updated.desc(), SessionRow.key.desc())
    newest = db.execute(kept.order_by(*order).limit(1)).first()
    if newest is not None and newest.updated > utc_now():
        by_turns = kept.join(TurnRow, TurnRow.session_key == SessionRow.key)
        newest = db.execute(by_turns.order_by(TurnRow.key.desc()).limit(1)).first() or newest
    return None if newest is None else str(newest.id)


def models(db: Session) -> list[str]:
    """List the models of sessions, the most recently used first."""
    used = select(SessionRow.model).where(SessionRow.deleted.is_(None), SessionRow.model != "")
    found = db.scalars(
        used.group_by(SessionRow.model).order_by(func.max(SessionRow.updated).desc())
    )
    return [model for model in found if model is not None]


def _is_deleted(deleted: bool) -> ColumnElement[bool]:
    return SessionRow.deleted.is_not(None) if deleted else SessionRow.deleted.is_(None)


def find(db: Session, id_or_prefix: str, *, deleted: bool = False) -> str:
    """Return the full id of the session whose id begins as the user typed.

    With ``deleted`` of those that can be restored. Raises SessionNotFoundError when no session
    begins so, or more than one.
    """
    wanted = as_typed(id_or_prefix)
    found = _beginning(db, wanted, deleted)
    if wanted in found:
        return wanted
    if not found and (others := _beginning(db, wanted, not deleted)):
        raise SessionNotFoundError(
            f"The chat {others[0]} is not deleted: there is nothing to restore."
            if deleted
            else f"The chat {others[0]} was deleted; bring it back with: phichat sessions restore "
            f"{others[0]}"
        )
    if not found:
        raise no_session(id_or_prefix, deleted=deleted)
    if len(found) > 1:
        shown = ", ".join(found[:_SHOWN_MATCHES]) + (", …" if len(found) > _SHOWN_MATCHES else "")
        raise SessionNotFoundError(
            f'More than one chat begins with "{wanted}" ({shown}); type more of the id.'
        )
    return found[0]


def _beginning(db: Session, wanted: str, deleted: bool) -> list[str]:
    """List the first ids that begin so; none for an empty word."""
    matches = select(SessionRow.id).where(
        SessionRow.id.startswith(wanted, autoescape=True), _is_deleted(deleted)
    )
    most = matches.order_by(SessionRow.id).limit(_SHOWN_MATCHES + 1)
    return list(db.scalars(most)) if wanted else []


def rename(db: Session, session_id: str, title: str) -> None:
    """Give a session another title. Raises StorageError for a title without visible characters."""
    new = title_of(title, length=200)
    if not new:
        raise StorageError("A title needs at least one visible character; type one.")
    session_row(db, session_id).title = new


def set_pinned(db: Session, session_id: str, pinned: bool) -> None:
    """Pin a session to the top of the list, or unpin it."""
    session_row(db, session_id).pinned = pinned


def set_model(db: Session, session_id: str, model: str | None) -> None:
    """Choose the model of a session."""
    session_row(db, session_id).model = None if model is None else storable(model)


def set_system(db: Session, session_id: str, system: str | None) -> None:
    """Give a session its own system prompt; None removes it."""
    session_row(db, session_id).system = None if system is None else storable(system)


def set_parameters(db: Session, session_id: str, parameters: Parameters) -> None:
    """Replace all sampling parameters of a session."""
    chosen = None if parameters == Parameters() else parameters
    session_row(db, session_id).parameters = chosen


def set_summary(db: Session, session_id: str, summary: Summary | None) -> None:
    """Replace the summary of a session's earlier turns; None removes it.

    Raises SessionNotFoundError when ``summary.upto`` is not a turn of the session.
    """
    session = session_row(db, session_id)
    if summary is not None:
        turn_row(db, summary.upto, session)
        summary = Summary(storable(summary.text), summary.upto, summary.edited)
    session.summary = summary


def delete(db: Session, session_id: str, *, for_good: bool = False) -> None:
    """Delete a session with all its turns, and the pictures that nothing else shows.

    :func:`restore` brings it back until :func:`purge_deleted` removes it; meanwhile it is in no
    list and no search. With ``for_good`` it is removed at once (also when deleted before).
    """
    if for_good:
        _remove(db, session_row(db, session_id, or_deleted=True).key)
    else:
        session_row(db, session_id).deleted = utc_now()


def restore(db: Session, session_id: str) -> None:
    """Bring a deleted session back as it was. Raises SessionNotFoundError once it is purged."""
    session_row(db, session_id, or_deleted=True).deleted = None


def purge_deleted(store: Transactions, older_than: timedelta) -> int:
    """Remove sessions that were deleted at least so long ago; returns their number.

    Takes the write lock only if there are any.
    """
    before = utc_now() - older_than
    with store.reading() as db:
        if not _purgeable(db, before):
            return 0
    with store.writing() as db:
        keys = _purgeable(db, before)
        for key in keys:
            _remove(db, key)
    return len(keys)


def _purgeable(db: Session, before: datetime) -> list[int]:
    deleted = select(SessionRow.key).where(SessionRow.deleted < before).order_by(SessionRow.key)
    return list(db.scalars(locks.held(db, deleted)))


def _remove(db: Session, key: int) -> None:
    attached = select(SessionPictureRow.picture_key).where(SessionPictureRow.session_key == key)
    drafted = (
        select(DraftPictureRow.picture_key)
        .join(DraftRow, DraftRow.key == DraftPictureRow.draft_key)
        .where(DraftRow.session_key == key)
    )
    shown = set(db.scalars(attached.union(drafted)))
    db.execute(delete_rows(SessionRow).where(SessionRow.key == key))
    pictures.delete_unshown(db, shown)
