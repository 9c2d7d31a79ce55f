"""Inspection of a database file without writing: not even SQLite's side files are made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from assistant.values.text import masked
from storage.column_types import Tolerant
from storage.database import in_memory, is_sqlite, parse
from storage.database_state import DatabaseState
from storage.schema import Base
from storage.server_inspection import examine_server
from storage.unwritable import obstacle

_SHOWN = 5
"""Row numbers that are named of one column."""


def examine(location: str | Path, *, check: bool = True) -> DatabaseState:
    """Look at the database of ``location``; ``check`` reads all of it for damage.

    A server's database is asked for its roles and rights. Raises StorageError for an
    address that is none.
    """
    url = parse(location)
    if not is_sqlite(url):
        return examine_server(url)
    if in_memory(url):
        return DatabaseState(masked(url.render_as_string()))
    path = Path(str(url.database))
    log = path.with_name(path.name + "-wal")
    try:
        size = path.stat().st_size  # os.path.exists takes what may not be seen for missing
        logged = log.stat().st_size if os.path.exists(log) else 0
    except (FileNotFoundError, NotADirectoryError):
        return DatabaseState(str(path), exists=False)
    except OSError as error:
        problem = f"The database {path} can't be read ({error.strerror}); check its folder."
        return DatabaseState(str(path), obstacle=problem)
    # Without a log no process is writing, and "immutable" keeps SQLite from making its side
    # files; with one, the process that writes it has made them already.
    address = f"file:{quote(str(path))}?mode=ro" + ("" if logged else "&immutable=1")
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            sessions = _count_sessions(connection)
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if check else "ok"
            lost = tuple(_unreadable(connection)) if check and verdict == "ok" else ()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        why = error if isinstance(error, sqlite3.Error) else "malformed database schema"
        problem = f"The database {path} can't be read ({why})."
        return DatabaseState(str(path), True, size + logged, problem=problem)
    damage = None if verdict == "ok" else f"The database {path} is damaged ({verdict})."
    reason = obstacle(str(path))
    words = None if reason is None else str(reason)
    return DatabaseState(str(path), True, size + logged, sessions, damage, lost, obstacle=words)


def _unreadable(connection: sqlite3.Connection) -> Iterator[str]:
    """Name the values that the types of their columns can't read, and rows without their parent."""
    for table in Base.metadata.sorted_tables:
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        for column in table.columns:
            if isinstance(column.type, Tolerant) and column.name in there:
                condition = column.type.damaged.format(column=column.name)
                found = f"SELECT rowid FROM {table.name} WHERE {condition}"  # noqa: S608
                if rows := _rows(connection, found):
                    yield f"{table.name}.{column.name} ({rows})"
        found = f"SELECT DISTINCT rowid FROM pragma_foreign_key_check('{table.name}')"  # noqa: S608
        if rows := _rows(connection, found):
            yield f"what {table.name} refers to ({rows})"


def _rows(connection: sqlite3.Connection, found: str) -> str:
    """Put the first row numbers that a query finds into words; empty for none."""
    numbers = [str(row[0]) for row in connection.execute(found)]
    if not numbers:
        return ""
    more = ", …" if len(numbers) > _SHOWN else ""
    return f"row {', '.join(numbers[:_SHOWN])}{more}"


def _count_sessions(connection: sqlite3.Connection) -> int:
    """Sessions that are listed: earlier versions of the tables knew none that wait for purging."""
    columns = {one[1] for one in connection.execute("PRAGMA table_info(sessions)")}
    every, listed = "SELECT count(*) FROM sessions", " WHERE deleted IS NULL"
    (count,) = connection.execute(every + listed if "deleted" in columns else every).fetchone()
    return int(count)
