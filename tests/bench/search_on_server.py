"""Searches in PostgreSQL beside the same in SQLite, as a table in Markdown.

    python -m tests.bench.search_on_server [--sessions 1000] [--folder FOLDER]

Generates the chats of :mod:`tests.bench.storage_scale` in SQLite (with ``--folder`` they are kept
and used again), copies them to a PostgreSQL server of its own for one role, gives a tenth as much
to a second role, and prints the medians of 15 searches, elapsed, with the data in the page cache.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql

from storage.store import Store
from tests.bench.storage_scale import SEARCHES, _median, generate
from tests.storage.postgres_server import PostgresServer

TABLES = ("sessions", "pictures", "session_pictures", "turns", "turn_pictures")
TIMES = 10
"""Times that PostgreSQL may take SQLite's."""


def copy(path: Path, database: str, owner: str, shift: int) -> None:
    """Copy a SQLite database to a server, as a superuser, with ``shift`` added to all keys."""
    with (
        closing(sqlite3.connect(path)) as source,
        psycopg.connect(database.replace("+psycopg", "")) as server,
    ):
        heads = []
        for table in TABLES:
            found = source.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in found.description]
            types = _types(server, table)
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, [*names, "owner"]))
            )
            with server.cursor().copy(into) as copied:
                for row in found:
                    values = [
                        _value(value, name, types[name], shift)
                        for name, value in zip(names, row, strict=True)
                    ]
                    if table == "sessions":
                        at = names.index("head_key")
                        heads.append((values[at], values[names.index("key")]))
                        values[at] = None
                    copied.write_row([*values, owner])
        with server.cursor() as cursor:
            cursor.executemany("UPDATE sessions SET head_key = %s WHERE key = %s", heads)


def _types(server: psycopg.Connection, table: str) -> dict[str, str]:
    columns = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
    return dict(server.execute(columns, (table,)).fetchall())


def _value(value: object, name: str, kind: str, shift: int) -> object:
    if value is not None and name.endswith("key"):
        return int(str(value)) + shift
    return bool(value) if kind == "boolean" else value


def searches(store: Store, sessions: int) -> dict[str, float]:
    found = {name: _median(lambda _, w=w: store.search(w)) for name, w in SEARCHES.items()}
    found["in one chat"] = _median(lambda n: store.search("the ", session_id=f"s{n + 2}"))
    found["name of a picture"] = _median(
        lambda n: store.search(f"holiday_{n * sessions // 8 + 1}.png")
    )
    found["(the newest 50 chats)"] = _median(lambda _: store.sessions(50))
    found["(the last 40 turns of a chat)"] = _median(lambda n: store.tail(f"s{n + 2}", 40))
    found["(all pictures)"] = _median(lambda _: store.all_pictures())
    return {name: one["ms"] for name, one in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the SQLite databases are kept")
    parser.add_argument("--sessions", type=int, default=1_000, help="of a hundred turns each")
    options = parser.parse_args()
    temporary = Path(tempfile.mkdtemp())
    folder: Path = options.folder or temporary
    folder.mkdir(parents=True, exist_ok=True)
    server = PostgresServer()
    try:
        address = server.database()
        name = address.partition("?")[0].rpartition("/")[2]
        for sessions, role, shift in (
            (options.sessions // 10, "another", 100_000_000),
            (options.sessions, f"of_{name}", 0),
        ):
            path = folder / f"{sessions}.db"
            if not path.exists():
                generate(path, sessions)
            Store.open(path).close()
            Store.open(address).close()
            started = time.perf_counter()
            copy(path, server.address("phichat", name), role, shift)
            print(f"{sessions} chats copied in {time.perf_counter() - started:.0f} s", flush=True)
        server.say("VACUUM ANALYZE", name)
        with closing(Store.open(path)) as store:
            sqlite = searches(store, options.sessions)
        with closing(Store.open(address)) as store:
            postgresql = searches(store, options.sessions)
    finally:
        server.stop()
        shutil.rmtree(temporary)
    print("| search | SQLite, ms | PostgreSQL, ms | times |\n|---|---|---|---|")
    for each, milliseconds in sqlite.items():
        times = postgresql[each] / milliseconds
        mark = "" if times <= TIMES else " **too slow**"
        print(f"| {each} | {milliseconds:.1f} | {postgresql[each]:.1f} | {times:.1f}{mark} |")


if __name__ == "__main__":
    main()
