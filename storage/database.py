"""Database engines: SQLite files and PostgreSQL servers, opened at the present schema."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import QueuePool, StaticPool

from assistant.values.errors import StorageError
from assistant.values.text import masked
from assistant.values.words import pip_install
from storage import migrations, unwritable
from storage.database_errors import translated

BUSY_TIMEOUT_MS = 30_000
"""Milliseconds that a writer waits for another; transactions here take milliseconds."""

_ADDRESS = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9+.-]*://|(sqlite|postgres(ql)?)(\+\w+)?(:|//)|://"
    r"|(host(addr)?|port|user|dbname|password) *=)"
)
"""Beginning of an address, or of a mistyped one: a file of that name would show a password."""

IMMEDIATE = {"phichat_writes": True}
"""Execution options of a transaction that will write: it takes the write lock at its start.

In SQLite, one that reads first and asks for the lock later is refused at once,
without waiting, when another writer was quicker. In PostgreSQL there are locks of
single sessions (see :mod:`storage.locks`).
"""

SHARED = {"phichat_shared": True}
"""Execution options of a transaction that sees what others share with the user, and nothing else.
"""

_CONNECTING = {
    "connect_timeout": 4,  # for each of the addresses that a name has, of which there may be two
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
"""Parameters of libpq, seconds: a server that says nothing is given up after ten, and one that
went away without a word after 25. An address may have its own."""

_SESSION = {
    "statement_timeout": "60s",  # what hangs is ended; a migration has no limit
    "idle_in_transaction_session_timeout": "60s",
    "client_encoding": "UTF8",  # a role, a database or the environment may have others of these
    "datestyle": "ISO",
    "standard_conforming_strings": "on",
    "row_security": "on",
}
"""Settings of a connection, which the driver, our statements or our limits need."""

_MIGRATION = 0x706869  # "phi", an advisory lock


def reading_options(engine: Engine) -> dict[str, Any]:
    """Return the execution options of a transaction that only reads: it sees one moment."""
    if engine.dialect.name == "sqlite":
        return {}  # so it is anyway
    return {"isolation_level": "REPEATABLE READ"}


def looking_options(engine: Engine) -> dict[str, Any]:
    """Return the execution options of reading without a transaction.

    To begin one and to end it are two more ways to a server and back, which take longer than a
    search for a word that is not there.
    """
    return {} if engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}


def data_version(connection: Connection) -> str:
    """Read the number of SQLite that grows when another connection commits.

    An in-memory database has no other: there, the rows that were changed are counted.
    """
    if in_memory(connection.engine.url):
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return str(driver.total_changes)
    return str(_pragma(connection, "PRAGMA data_version")[0][0])


def snapshot(connection: Connection) -> str:
    """Read PostgreSQL's name of the transactions committed now."""
    return str(connection.execute(text("SELECT pg_current_snapshot()")).scalar_one())


def open_engine(location: str | Path) -> tuple[Engine, str]:
    """Open ``location`` (a path, a database URL or ``":memory:"``); returns it with its plain name.

    A new SQLite file is made with mode 0600, its missing folders with 0700.
    Raises StorageError when the database can't be used.
    """
    url = parse(location)
    where = url.database or "in memory" if is_sqlite(url) else masked(url.render_as_string())
    with translated(where):
        if is_sqlite(url):
            _make_file(url)
        engine = make_engine(url)
        try:
            _bring_up_to_date(engine, where)
            if is_sqlite(url):
                _use_wal(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine, where


def parse(location: str | Path) -> URL:
    """Parse a database URL; paths become SQLite URLs. Raises StorageError for an unusable URL."""
    if isinstance(location, Path) or not _ADDRESS.match(location):
        path = str(location)
        name = path if path == ":memory:" else os.path.abspath(os.path.expanduser(path))
        return URL.create("sqlite", database=name)
    try:
        url = make_url(location)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StorageError(
            "The database address is not one that can be used; "
            "give a file path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME."
        ) from error
    if "@" in (url.host or ""):
        raise StorageError(
            "The password in the database address has a character that must be percent-encoded "
            "there: @ is %40, / is %2F."
        )
    return url


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def in_memory(url: URL) -> bool:
    return is_sqlite(url) and url.database in (None, "", ":memory:")


def _make_file(url: URL) -> None:
    if in_memory(url) or url.database is None or url.database.startswith("file:"):
        return
    path = Path(url.database)
    if os.path.isdir(path):
        raise StorageError(f"{path} is a folder, not a database; give the path of a file in it.")
    if os.path.exists(path):
        return
    try:
        missing = [p for p in (path.parent, *path.parent.parents) if not os.path.exists(p)]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            f"The database {path} can't be made ({error.strerror}); make its folder writable "
            "or choose another one with PHICHAT_HOME."
        ) from error


def make_engine(url: URL) -> Engine:
    try:
        if not is_sqlite(url):
            return _server_engine(url)
        engine = create_engine(
            url,
            # An in-memory database is one connection, which all threads share.
            poolclass=StaticPool if in_memory(url) else QueuePool,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        )
    except ModuleNotFoundError as error:
        if not is_sqlite(url) and (error.name or "").partition(".")[0] != "psycopg":
            raise StorageError(
                f'The database address asks for the driver "{error.name}"; '
                "begin it with postgresql+psycopg:// instead."
            ) from error
        raise StorageError(
            f'The database driver "{error.name}" is not installed; '
            f"run {pip_install('psycopg[binary]==3.3.9')}, then try again."
        ) from error

    if not in_memory(url) and url.database is not None and not url.database.startswith("file:"):
        unwritable.let_read(engine, url.database)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transactions begin too late (at the first write) and never
        # for changes of tables; ours begin where SQLAlchemy says so.
        connection.isolation_level = None
        connection.text_factory = _text
        connection.execute("PRAGMA foreign_keys = ON")
        # Every commit reaches the disk: a turn that was sent survives a power cut too.
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = "phichat_writes" in connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _text(stored: bytes) -> str:
    """Read a text; bytes that are not UTF-8, which damage leaves, become replacement signs."""
    return stored.decode(errors="replace")


def _server_engine(url: URL) -> Engine:
    is_libpq = url.get_driver_name().startswith("psycopg")
    given = {k: v for k, v in _CONNECTING.items() if is_libpq and k not in url.query}
    engine = create_engine(url, pool_pre_ping=True, connect_args=given)

    @event.listens_for(engine, "connect", insert=True)  # before the dialect looks at them
    def _on_connect(connection: Any, _record: object) -> None:
        settings = ", ".join(f"set_config('{name}', '{v}', false)" for name, v in _SESSION.items())
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_backend_pid(), {settings}")
            process = cursor.fetchone()[0]
        connection.commit()
        if is_libpq and connection.info.backend_pid != process:
            # PgBouncer: the next transaction may have another process, which has prepared nothing
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if "phichat_writes" in connection.get_execution_options():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
        if "phichat_shared" in connection.get_execution_options():
            connection.exec_driver_sql("SET LOCAL phichat.shared = 'on'")

    return engine


def _bring_up_to_date(engine: Engine, where: str) -> None:
    with engine.connect() as connection:
        found = version(connection, where)
        if found is None and (encoding := _encoding(connection)) != "UTF8":
            raise StorageError(
                f"The database {where} is encoded in {encoding}; "
                "make another one with ENCODING 'UTF8' TEMPLATE template0."
            )
    if found == migrations.NEWEST:
        return
    try:
        with migration(engine, where) as connection:
            migrations.upgrade(connection)
    except (StorageError, DBAPIError):
        raise
    except Exception as error:
        raise StorageError(
            f"The database {where} could not be brought up to date and was left as it was "
            f"({error}); go back to the phichat you had, and report this."
        ) from error


def _encoding(connection: Connection) -> str:
    """Read how a server's database holds texts; a file has them in UTF-8."""
    is_file = connection.dialect.name == "sqlite"
    return "UTF8" if is_file else str(connection.scalar(text("SHOW server_encoding")))


@contextmanager
def migration(engine: Engine, where: str) -> Iterator[Connection]:
    """Change the tables in one write transaction: all of the changes happen, or none.

    Raises StorageError when rows would refer to missing ones afterwards.
    """
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect().execution_options(**IMMEDIATE) as connection:
        if sqlite:
            # Rebuilding a table drops the old one, which must not cascade into others.
            # SQLite ignores this inside a transaction, so it is set on the driver's connection.
            _pragma(connection, "PRAGMA foreign_keys = OFF")
        try:
            with connection.begin():
                if not sqlite:
                    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")
                with nullcontext() if sqlite else _rows_of_all(connection):
                    yield connection
                if sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise StorageError(
                        f"The database {where} holds rows that refer to missing ones, so it was "
                        "left as it was; restore a backup or move the file away."
                    )
        finally:
            if sqlite:
                _pragma(connection, "PRAGMA foreign_keys = ON")


@contextmanager
def _rows_of_all(connection: Connection) -> Iterator[None]:
    """Let the owner of the tables change everybody's rows, until the transaction ends well."""
    ours = (
        "SELECT quote_ident(relname) FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace AND "
    )
    forced = set(connection.scalars(text(ours + "relforcerowsecurity")))
    for table in forced:
        connection.exec_driver_sql(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    for table in forced & set(connection.scalars(text(ours + "relrowsecurity"))):
        connection.exec_driver_sql(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def version(connection: Connection, where: str) -> str | None:
    """Read the revision of the database, or None for an empty one.

    Raises StorageError for a newer database, and for another program's.
    """
    if not connection.dialect.has_table(connection, "alembic_version"):
        if connection.dialect.get_table_names(connection):
            raise StorageError(
                f"The database {where} belongs to another program; choose another file."
            )
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if not found:
        return None
    unknown = [version for version in found if version not in migrations.KNOWN]
    if unknown:
        raise StorageError(
            f"The database {where} was written by a newer phichat; update phichat to open it."
        )
    return str(found[0])


def _use_wal(engine: Engine) -> None:
    """Set WAL mode, so that readers never wait for a writer. The mode stays in the file."""
    with engine.connect() as connection:
        for attempt in range(50):
            try:
                _pragma(connection, "PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # Changing the mode doesn't wait for a lock as statements do.
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or attempt == 49:
                    raise
                time.sleep(0.1)


def _pragma(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run a PRAGMA on the driver's connection, outside any transaction."""
    driver = connection.connection.driver_connection
    assert driver is not None
    rows: list[tuple[Any, ...]] = driver.execute(statement).fetchall()
    return rows
