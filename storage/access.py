"""One short transaction at a time: what every method of the store runs in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from storage import opening
from storage.failures import told_plainly


class Access:
    """Transactions on one database, and a look at whether others have changed it."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**opening.reading_options(engine))
        self._writing = engine.execution_options(**opening.IMMEDIATE)
        self._where = where
        # The writers of one process queue up here, in order, rather than at the
        # database's busy handler, which sleeps and is not fair.
        self._one_writer = threading.RLock()
        # An in-memory database has a single connection: readers take turns as well.
        memory = opening.in_memory(engine.url)
        self._reader: AbstractContextManager[object] = self._one_writer if memory else nullcontext()
        self._watching = threading.Lock()
        self._watch: Connection | None = None

    def close(self) -> None:
        """Release the database; harmless when done twice."""
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self._engine.dispose()

    def changes(self) -> str:
        """A token that is another one after anything was committed, by this process or another.

        It takes microseconds, so that a screen may ask several times a second.
        Compare it for equality and with tokens of the same store only; it may
        change without a reason, and never stays the same after a commit of
        another process.
        """
        with told_plainly(self._where):
            if self._engine.dialect.name != "sqlite":
                with self._engine.connect() as connection:
                    return opening.snapshot(connection)
            # What SQLite counts are the commits of other connections than the one that
            # asks: that must be one which never writes, and always the same.
            with self._watching:
                if self._watch is None:
                    self._watch = self._engine.connect()
                return opening.data_version(self._watch)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """A consistent view: what others commit meanwhile is not seen."""
        with told_plainly(self._where), self._reader, Session(self._reading) as db:
            yield db

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """One transaction, committed at the end; an exception leaves nothing of it."""
        with (
            told_plainly(self._where),
            self._one_writer,
            Session(self._writing, expire_on_commit=False) as db,
            db.begin(),
        ):
            yield db
