"""A consistent copy of a live database, as one file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from assistant.values.errors import StorageError
from storage.database_errors import translated
from storage.exchange.files import replacing
from storage.transactions import Transactions


def backup(store: Transactions, path: Path, *, overwrite: bool = False) -> None:
    """Copy the live database to ``path`` (mode 0600), which appears whole or not at all.

    Others may go on writing: the copy is the database at one moment. It is checked before it gets
    its name. Raises StorageError; an existing file is replaced only with ``overwrite``, the
    database itself never.
    """
    engine = store.engine
    if engine.dialect.name != "sqlite":
        raise StorageError(
            "This database is on a server, which makes its own backups; use: "
            "pg_dump --format=custom --file=FILE DATABASE."
        )
    if _is_the_database(engine, path):
        raise StorageError(f"{path} is the database itself; give another path.")
    with (
        store.reader,
        replacing(path, overwrite=overwrite) as unfinished,
        translated(str(path)),
    ):
        _copy(engine, unfinished)


def _is_the_database(engine: Engine, path: Path) -> bool:
    database = engine.url.database or ""
    return os.path.exists(path) and any(
        os.path.exists(one) and os.path.samefile(one, path)
        for one in (database, f"{database}-wal", f"{database}-shm")
    )


def _copy(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        with engine.connect() as connection:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            # All pages in one step are one read transaction: no writer waits for it, and none
            # makes it begin again.
            source.backup(copy, pages=-1)
        # One file that needs no -wal beside it.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise StorageError(
            f"The database is damaged ({found[0]}), so no backup was made; keep the file and "
            "restore an earlier backup."
        )
