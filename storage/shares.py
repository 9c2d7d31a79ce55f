"""Shares: a session that other users of the same PostgreSQL database may read, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from assistant.values.errors import StorageError
from storage.ids import storable
from storage.rows import session_row

NO_USERS = (
    "This database has no users, so nothing in it can be shared: that takes PostgreSQL, where each "
    "user has a role (docs/postgresql.md). An export can be sent instead."
)


def share(db: Session, session_id: str, users: Sequence[str]) -> None:
    """Let users read a session, what is added later included. Raises StorageError."""
    _need_users(db)
    key = session_row(db, session_id).key
    for user in map(storable, users):
        known = text("SELECT rolname <> CURRENT_USER FROM pg_roles WHERE rolname = :user")
        if (is_other := db.scalar(known, {"user": user})) is None:
            raise StorageError(f'The database has no user "{user}"; give the name of a role of it.')
        if not is_other:
            raise StorageError("The chat is yours already; name another user.")
        db.execute(
            text(
                "INSERT INTO shares (session_key, reader) VALUES (:key, :user) "
                "ON CONFLICT DO NOTHING"
            ),
            {"key": key, "user": user},
        )


def unshare(db: Session, session_id: str, users: Sequence[str]) -> None:
    """Let users read a session no longer; without names, all whom it was shared with."""
    _need_users(db)
    key = session_row(db, session_id).key
    which = " AND reader IN :users" if users else ""
    statement = text(f"DELETE FROM shares WHERE session_key = :key{which}")  # noqa: S608
    if users:
        statement = statement.bindparams(bindparam("users", expanding=True))
        db.execute(statement, {"key": key, "users": [storable(user) for user in users]})
    else:
        db.execute(statement, {"key": key})


def readers(db: Session, session_id: str) -> list[str]:
    """List the users whom a session is shared with."""
    _need_users(db)
    found = text("SELECT reader FROM shares WHERE session_key = :key ORDER BY reader")
    return [str(user) for user in db.scalars(found, {"key": session_row(db, session_id).key})]


def owners(db: Session) -> dict[str, str]:
    """Return the owner of each session that the transaction sees, by the session's id."""
    _need_users(db)
    return {str(id): str(owner) for id, owner in db.execute(text("SELECT id, owner FROM sessions"))}


def _need_users(db: Session) -> None:
    if db.get_bind().dialect.name == "sqlite":
        raise StorageError(NO_USERS)
