"""Rows by their ids, and the fields that rows have in common with values."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import Boolean, ColumnElement, literal_column, select, true
from sqlalchemy.orm import Session

from assistant.values.errors import SessionNotFoundError
from storage import locks
from storage.ids import new_id
from storage.schema import Base, SessionRow, TurnRow


def session_row(db: Session, session_id: str, *, or_deleted: bool = False) -> SessionRow:
    """Read the row of a session that is not deleted. Raises SessionNotFoundError."""
    row = db.scalar(locks.held(db, select(SessionRow).where(SessionRow.id == session_id)))
    if row is None or (row.deleted is not None and not or_deleted):
        raise no_session(session_id)
    return row


def turn_row(db: Session, turn_id: str, session: SessionRow | None = None) -> TurnRow:
    """Read the row of a turn, of ``session`` if that is given. Raises SessionNotFoundError."""
    if session is None and locks.is_needed(db):
        of_turn = select(TurnRow.session_key).where(TurnRow.id == turn_id).scalar_subquery()
        db.scalar(locks.held(db, select(SessionRow.key).where(SessionRow.key == of_turn)))
    row = db.scalar(select(TurnRow).where(TurnRow.id == turn_id))
    if row is None or (session is not None and row.session_key != session.key):
        raise SessionNotFoundError(
            "This turn is gone, its chat was probably deleted in another window; start a new one."
        )
    return row


def session_of(db: Session, row: TurnRow) -> SessionRow:
    """Read the row of a turn's session. Raises SessionNotFoundError in a damaged database."""
    found = db.get(SessionRow, row.session_key)
    if found is None:
        raise SessionNotFoundError(
            "The chat of this turn is missing in the database, which is damaged; "
            "phichat doctor says what else is."
        )
    return found


def own(db: Session) -> ColumnElement[bool]:
    """Select the user's own sessions: in PostgreSQL others may be visible, to a superuser all."""
    engine = db.get_bind().engine
    if engine.dialect.name == "sqlite" or "phichat_shared" in engine.get_execution_options():
        return true()
    return literal_column("sessions.owner = CURRENT_USER", Boolean)


def head_of(db: Session, session: SessionRow) -> TurnRow | None:
    """Read the end of a session's current branch, or None for a session without turns.

    Where a damaged database has lost it, the newest turn takes its place.
    """
    row = None if session.head_key is None else db.get(TurnRow, session.head_key)
    if session.head_key is None or (row is not None and row.session_key == session.key):
        return row
    newest = select(TurnRow).where(TurnRow.session_key == session.key)
    return db.scalar(newest.order_by(TurnRow.key.desc()).limit(1))


def no_session(typed: str, *, deleted: bool = False) -> SessionNotFoundError:
    """Make the error for an id that no session has, or none that is ``deleted``."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in typed)
    return SessionNotFoundError(
        f'There is no deleted chat "{shown}"; list them with: phichat sessions list --deleted.'
        if deleted
        else f'There is no chat "{shown}"; list them with: phichat sessions list.'
    )


def unused_id(
    db: Session, table: type[SessionRow] | type[TurnRow], length: int, wanted: str | None = None
) -> str:
    """Draw a new id that no row of the table has, or take the one ``wanted``."""
    new = wanted or new_id(length)
    while db.scalar(select(table.key).where(table.id == new)) is not None:
        new = new_id(length)
    return new


@cache
def columns(table: type[Base]) -> frozenset[str]:
    """Return the names of a table's columns that are not computed from others."""
    return frozenset(c.key for c in table.__table__.columns if "computed" not in c.info)


@cache
def common(table: type[Base], kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass that are columns of a table."""
    return tuple(field.name for field in fields(kind) if field.name in columns(table))


def values(row: Base, kind: type) -> dict[str, Any]:
    """Return the fields of a dataclass that are columns of a row: what is stored of it there."""
    return {name: getattr(row, name) for name in common(type(row), kind)}


def copied(row: Base, **changes: object) -> dict[str, Any]:
    """Return the columns of a row, with ``changes``, for a copy that gets a key of its own."""
    kept = columns(type(row)) - {"key"} - changes.keys()
    return {name: getattr(row, name) for name in kept} | changes
