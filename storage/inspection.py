"""Inspection of a database file without writing: not even SQLite's side files are made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from storage.database import in_memory, is_sqlite, parse


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """``size`` is in bytes, side files included. What could not be found out is None.

    ``problem`` is a sentence where the database can't be used as it is.
    """

    where: str
    exists: bool | None = None
    size: int | None = None
    sessions: int | None = None
    problem: str | None = None


def examine(location: str | Path, *, check: bool = True) -> DatabaseState:
    """Look at the database of ``location``; ``check`` reads all of it for damage.

    A server's database is named and left alone. Raises StorageError for an
    address that is none.
    """
    url = parse(location)
    if not is_sqlite(url) or in_memory(url):
        return DatabaseState(url.render_as_string(hide_password=True))
    path = Path(str(url.database))
    if not path.exists():
        return DatabaseState(str(path), exists=False)
    log = path.with_name(path.name + "-wal")
    size = sum(one.stat().st_size for one in (path, log) if one.exists())
    # Without a log no process is writing, and "immutable" keeps SQLite from making its side
    # files; with one, the process that writes it has made them already.
    quiet = not log.exists() or not log.stat().st_size
    address = f"file:{quote(str(path))}?mode=ro" + ("&immutable=1" if quiet else "")
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            sessions = _count_sessions(connection)
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if check else "ok"
    except sqlite3.Error as error:
        problem = f"The database {path} can't be read ({error})."
        return DatabaseState(str(path), True, size, problem=problem)
    damage = None if verdict == "ok" else f"The database {path} is damaged ({verdict})."
    return DatabaseState(str(path), True, size, sessions, damage)


def _count_sessions(connection: sqlite3.Connection) -> int:
    """Sessions that are listed: earlier versions of the tables knew none that wait for purging."""
    columns = {one[1] for one in connection.execute("PRAGMA table_info(sessions)")}
    every, listed = "SELECT count(*) FROM sessions", " WHERE deleted IS NULL"
    (count,) = connection.execute(every + listed if "deleted" in columns else every).fetchone()
    return int(count)
