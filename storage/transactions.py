"""Transactions on one database, and methods made of functions that run in one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from assistant.values.errors import StorageError
from storage import database
from storage.database_errors import translated

P = ParamSpec("P")
R = TypeVar("R")


class Transactions:
    """Transactions on one database, and a cheap check for commits of others.

    Errors of the database are raised as StorageError, one plain sentence.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self.engine = engine
        self._reading = engine.execution_options(**database.reading_options(engine))
        self._looking = engine.execution_options(**database.looking_options(engine))
        self._writing = engine.execution_options(**database.IMMEDIATE)
        self._where = where
        # In SQLite the writers of one process queue here, in order, rather than at the
        # database's busy handler, which sleeps and is not fair.
        is_file = database.is_sqlite(engine.url)
        self._writer: AbstractContextManager[object] = (
            threading.RLock() if is_file else nullcontext()
        )
        memory = database.in_memory(engine.url)
        self.reader: AbstractContextManager[object] = self._writer if memory else nullcontext()
        """Held while reading: an in-memory database has a single connection."""
        self._watching = threading.Lock()
        self._watch: Connection | None = None

    def close(self) -> None:
        """Release the database. May be called twice."""
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self.engine.dispose()

    def changes(self) -> str:
        """Return a token that differs after any commit, by this process or another.

        It takes microseconds, so that a screen may ask several times a second. Compare it for
        equality, with tokens of the same store only. It may differ without a commit; it is never
        the same after a commit of another process.
        """
        with translated(self._where):
            if self.engine.dialect.name != "sqlite":
                with self.engine.connect() as connection:
                    return database.snapshot(connection)
            # SQLite counts the commits of connections other than the one that asks: that must be
            # one which never writes, and always the same.
            with self._watching:
                if self._watch is None:
                    self._watch = self.engine.connect()
                return database.data_version(self._watch)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read one consistent view: commits of others do not appear meanwhile."""
        with translated(self._where), self.reader, Session(self._reading) as db:
            yield db

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """Read with statements that may see commits of others from one to the next."""
        with translated(self._where), self.reader, Session(self._looking) as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Write in one transaction, committed at the end; an exception rolls all of it back."""
        if "phichat_shared" in self.engine.get_execution_options():
            raise StorageError("A chat that another user shares can only be read.")
        with (
            translated(self._where),
            self._writer,
            Session(self._writing, expire_on_commit=False) as db,
            db.begin(),
        ):
            yield db


def _methods_in(
    begin: Callable[[Transactions], AbstractContextManager[Session]],
) -> Callable[[Callable[Concatenate[Session, P], R]], Callable[Concatenate[Transactions, P], R]]:
    """Return what makes a method of a function: each call runs in a transaction of its own."""

    def make(
        function: Callable[Concatenate[Session, P], R],
    ) -> Callable[Concatenate[Transactions, P], R]:
        @wraps(function)
        def method(store: Transactions, /, *args: P.args, **kwargs: P.kwargs) -> R:
            with begin(store) as db:
                return function(db, *args, **kwargs)

        return method

    return make


reads = _methods_in(Transactions.reading)
looks = _methods_in(Transactions.looking)
"""For what needs no consistent view."""
writes = _methods_in(Transactions.writing)
"""A change is on disk when the method returns."""
