"""Errors of the database drivers as one plain sentence that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from assistant.values.errors import DamagedError, DiskFullError, ReadOnlyError, StorageError
from assistant.values.text import masked
from storage.unwritable import FULL, READ_ONLY, is_full

_ELSEWHERE = "or choose another folder with PHICHAT_HOME"

_SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: "The database {where} may not be used; "
    f"change its permissions {_ELSEWHERE}.",
    sqlite3.SQLITE_BUSY: "Another program keeps the database {where} locked; "
    "close it and try again.",
    sqlite3.SQLITE_LOCKED: "Another program keeps the database {where} locked; "
    "close it and try again.",
    sqlite3.SQLITE_NOTADB: "The file {where} is not a phichat database; "
    f"move it away {_ELSEWHERE}.",
    sqlite3.SQLITE_CORRUPT: "The database {where} is damaged; "
    f"restore a backup, move the file away, {_ELSEWHERE}.",
    sqlite3.SQLITE_CANTOPEN: "The database {where} can't be opened; "
    f"check that its folder exists and is writable, {_ELSEWHERE}.",
    sqlite3.SQLITE_IOERR: "The disk under {where} reported an error; "
    f"check the disk and its free space, {_ELSEWHERE}.",
    sqlite3.SQLITE_TOOBIG: "That is more than the database {where} can hold in one piece; "
    "send less at once.",
}

_POSTGRESQL = {
    "22P05": "The database {where} is not encoded in UTF-8 and can't hold these characters; "
    "make one with ENCODING 'UTF8', and import what sessions export --all writes.",
    "25006": "The database {where} is read-only; write to its primary server, "
    "or allow writing to it.",
    "3F000": "The database {where} has no schema that this user may use for tables; "
    "name one in its search_path, and grant USAGE on it.",
    "42P01": "Tables of phichat are gone from the database {where}, or not in the search_path of "
    "its user; start phichat again, or restore a backup.",
    "42501": "This user may not make or change what it needs in the database {where}; "
    "give it the rights, or take an address with another user.",
    "53100": "The disk of the database {where} is full, so nothing could be saved; "
    "free some space there and try again.",
    "55P03": "Another program keeps the database {where} locked; close it and try again.",
}


_DAMAGE = {
    sqlite3.SQLITE_ERROR,  # a table or a column that is gone
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}
"""SQLite's codes for what no waiting mends."""

_DAMAGE_CLASSES = ("22", "23", "XX")
"""PostgreSQL's classes of the same: wrong data, broken constraints, damaged pages."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn failures of the database at ``where`` into :class:`StorageError`.

    A wrong statement, which is a mistake of the program itself, passes through; a driver that was
    given an option that it does not know calls that the same, before any statement. A broken
    constraint is a sentence, because rows that damage has left alone break them too.
    """
    try:
        yield
    except exc.DBAPIError as error:
        is_statement = isinstance(error, exc.ProgrammingError) and error.statement is not None
        if is_statement and _sqlstate(error.orig) not in _POSTGRESQL:
            raise
        raise storage_error(error.orig, where) from error
    except sqlite3.Error as error:
        raise storage_error(error, where) from error
    except exc.TimeoutError as error:
        raise StorageError(f"The database {where} is too busy; try again in a moment.") from error
    except OSError as error:
        raise StorageError(
            f"The database {where} can't be used ({error.strerror or error}); "
            f"check its folder {_ELSEWHERE}."
        ) from error


def storage_error(error: BaseException | None, where: str) -> StorageError:
    """Return the error for a database driver's error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL or is_full(error, where):
        return DiskFullError(FULL.format(where=where))
    words = sentence(error, where)
    if _sqlstate(error) == "53100":
        return DiskFullError(words)
    is_read_only = isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_READONLY
    if is_read_only or _sqlstate(error) == "25006":
        return ReadOnlyError(words)
    is_damaged = isinstance(code, int) and code & 0xFF in _DAMAGE
    if is_damaged or _sqlstate(error).startswith(_DAMAGE_CLASSES):
        return DamagedError(words)
    return StorageError(words)


def sentence(error: BaseException | None, where: str) -> str:
    """Return the sentence for a database driver's error."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int) and (known := _SQLITE.get(code & 0xFF)):
        return known.format(where=where)
    if known := _POSTGRESQL.get(_sqlstate(error)):
        return known.format(where=where)
    if isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_CONSTRAINT:
        return (
            f"What the database {where} holds does not fit together ({error}), so nothing was "
            "changed; phichat doctor says what is damaged."
        )
    if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError):
        return f"The database {where} can't be used ({error}); check it {_ELSEWHERE}."
    detail = masked(" ".join(str(error).split()))
    if "timeout expired" in detail:
        return f"The database {where} does not answer; check its address and that it runs."
    return f"The database {where} can't be used ({detail}); check its address and that it runs."


def is_damage(error: exc.DBAPIError) -> bool:
    """Whether a statement failed because a page of an SQLite file is damaged."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_CORRUPT


def _sqlstate(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None))
