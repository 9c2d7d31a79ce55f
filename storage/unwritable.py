"""SQLite where nothing can be written: it says so, and what is stored can still be read.

To read a database in WAL mode SQLite makes a file of 32 KiB beside it. Where there is no room for
that, or its folder is read-only, and everything was checkpointed, the database is opened as one
that nothing changes.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry

from assistant.values.errors import DiskFullError, ReadOnlyError, StorageError

FULL = "The disk is full, so nothing could be saved in {where}; free some space and try again."
READ_ONLY = (
    "The database {where} is read-only; make the file and its folder writable "
    "or choose another folder with PHICHAT_HOME."
)

_NEEDED = 64 * 1024
"""Bytes: SQLite's shared memory takes 32 KiB, a first transaction some pages."""
_ALSO = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL)
"""Errors of SQLite that a full disk has, too."""


def is_full(error: BaseException | None, path: str) -> bool:
    """Whether an error of SQLite comes of a full disk under ``path``."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _ALSO and not _has_room(path)


def obstacle(path: str) -> StorageError | None:
    """Return why nothing can be written at ``path`` now, where that is to be seen."""
    if not (os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK | os.X_OK)):
        return ReadOnlyError(READ_ONLY.format(where=path))
    return None if _has_room(path) else DiskFullError(FULL.format(where=path))


def let_read(engine: Engine, path: str) -> None:
    """Let ``engine`` read the database at ``path`` while nothing can be written there."""

    @event.listens_for(engine, "do_connect")
    def _connect(
        _dialect: object, record: ConnectionPoolEntry, args: Any, options: dict[str, Any]
    ) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*args, **options)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
        except UnicodeDecodeError as error:  # SQLite quotes what is damaged, Python can't read it
            connection.close()
            raise sqlite3.DatabaseError("malformed database schema") from error
        except sqlite3.Error as error:
            if _is_of_writing(error) and obstacle(path) and not _has_log(path):
                connection.close()
                record.info["fixed"] = True
                uri = f"file:{quote(path)}?immutable=1"
                connection = sqlite3.connect(uri, uri=True, **options)
        return connection

    @event.listens_for(engine, "checkout")
    def _look(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if "fixed" in record.info and (obstacle(path) is None or _has_log(path)):
            raise exc.DisconnectionError  # the pool makes another one

    @event.listens_for(engine, "begin")
    def _refuse(connection: Connection) -> None:
        is_for_reading = "fixed" in connection.connection.info
        if is_for_reading and "phichat_writes" in connection.get_execution_options():
            raise obstacle(path) or DiskFullError(FULL.format(where=path))


def _is_of_writing(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (*_ALSO, sqlite3.SQLITE_READONLY)


def _has_room(path: str) -> bool:
    try:
        disk = os.statvfs(os.path.dirname(path))
    except (AttributeError, OSError):  # Windows; a folder that is gone
        return True
    return disk.f_bavail * disk.f_frsize >= _NEEDED


def _has_log(path: str) -> bool:
    """Whether something was stored that is not in the database's own file yet."""
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
