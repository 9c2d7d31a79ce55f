"""The one door to the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from assistant.conversation import (
    Conversation,
    Draft,
    FinishReason,
    SessionSummary,
    Timings,
    Turn,
    Usage,
)
from storage import opening, reading, writers, writing
from storage.failures import told_plainly
from storage.writing import HEAD, Head

__all__ = ["HEAD", "Store"]

_UNKNOWN_IS_DEAD_AFTER = timedelta(days=1)
"""No reply takes this long: when its writer can't be looked up, it is given up then."""


class Store:
    """Sessions, turns and pictures in one database.

    Thread-safe; every method is one short transaction, and what a write method
    returned is on disk. Every method raises StorageError, in one plain sentence,
    when the database can't be read or written; methods that take the id of a
    session or turn raise SessionNotFoundError when there is none. All moments
    are timezone-aware UTC.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**opening.IMMEDIATE)
        self._where = where
        # The writers of one process queue up here, in order, rather than at the
        # database's busy handler, which sleeps and is not fair.
        self._one_writer = threading.RLock()
        # An in-memory database has a single connection: readers take turns as well.
        memory = opening.in_memory(engine.url)
        self._reader: AbstractContextManager[object] = self._one_writer if memory else nullcontext()

    @classmethod
    def open(cls, location: str | Path) -> Store:
        """Open or make the database at a path, a database URL or ``":memory:"``.

        Brings an older database up to date (or leaves it as it was, if that
        fails) and marks replies that a dead process left behind. Raises
        StorageError.
        """
        engine, where = opening.open_engine(location)
        store = cls(engine, where)
        try:
            store.recover()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Release the database; harmless when done twice."""
        self._engine.dispose()

    # Sessions

    def sessions(self, limit: int = 200, offset: int = 0) -> list[SessionSummary]:
        """Sessions, the most recently used first.

        ``turns`` counts the current branch, ``pictures`` all that were ever attached.
        """
        with self._read() as db:
            return reading.summaries(db, limit, offset)

    def find_session(self, id_or_prefix: str) -> str:
        """The full id for what a person typed of it.

        Raises SessionNotFoundError when no session begins so, or more than one.
        """
        with self._read() as db:
            return reading.find(db, id_or_prefix)

    def latest_session(self) -> str | None:
        """The id of the session used last, or None when there is none."""
        with self._read() as db:
            return reading.latest(db)

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title. Raises StorageError for one without visible characters."""
        with self._write() as db:
            writing.rename(db, session_id, title)

    def delete(self, session_id: str) -> None:
        """Delete a session with all its turns, and the pictures that no other session shows."""
        with self._write() as db:
            writing.delete_session(db, session_id)

    def set_pinned(self, session_id: str, pinned: bool) -> None:
        """Pin a session, or let it go."""
        with self._write() as db:
            writing.set_pinned(db, session_id, pinned)

    def set_head(self, session_id: str, turn_id: str) -> None:
        """Make the branch that ends with ``turn_id`` the session's current one."""
        with self._write() as db:
            writing.set_head(db, session_id, turn_id)

    # Turns

    def conversation(self, session_id: str, *, head: str | None = None) -> Conversation:
        """A session's current branch, or the one that ends with the turn ``head``."""
        with self._read() as db:
            return reading.conversation(db, session_id, head)

    def all_turns(self, session_id: str) -> tuple[Turn, ...]:
        """Every turn of every branch, in the order they were stored."""
        with self._read() as db:
            return reading.all_turns(db, session_id)

    def add_user_turn(
        self,
        session_id: str | None,
        draft: Draft,
        *,
        parent: str | Head | None = HEAD,
        model: str | None = None,
        system: str | None = None,
    ) -> tuple[str, Turn]:
        """Store what a person sends; returns the session's id and the turn.

        ``session_id`` None starts a session, titled after the text or the first
        picture. ``parent`` is the turn that this one answers: by default the end
        of the current branch (while another terminal is being answered there, the
        turn before its message: the two become siblings); an earlier turn, to
        edit what followed it; None for the first turn. The new turn becomes the
        head. ``model`` and ``system`` are remembered for the session when given.

        Each picture gets the session's next number, except that one which an
        earlier version of this message (a sibling) showed keeps its number.
        """
        with self._write() as db:
            return writing.add_user_turn(db, session_id, draft, parent, model, system)

    def start_reply(self, session_id: str, parent_turn_id: str, *, model: str) -> Turn:
        """Store an empty reply to a turn; it becomes the head, beside any earlier reply."""
        with self._write() as db:
            return writing.start_reply(db, session_id, parent_turn_id, model)

    def checkpoint_reply(self, turn_id: str, text: str, token_ids: Sequence[int] | None) -> None:
        """Store how far a reply has grown (the whole text and all ids, not what was added).

        A checkpoint that arrives after the end changes nothing.
        """
        with self._write() as db:
            writing.checkpoint_reply(db, turn_id, text, token_ids)

    def finish_reply(
        self,
        turn_id: str,
        *,
        text: str,
        token_ids: Sequence[int] | None,
        finish_reason: FinishReason,
        usage: Usage | None,
        timings: Timings | None,
    ) -> Turn:
        """Store a reply's end and return it as stored; one that has ended before stays as it is."""
        with self._write() as db:
            return writing.finish_reply(db, turn_id, text, token_ids, finish_reason, usage, timings)

    def recover(self) -> int:
        """Mark replies whose writer has died as interrupted; returns how many there were.

        A reply that another live process is writing is left alone.
        """
        with self._read() as db:
            found = [(w, writers.is_alive(w)) for w in writing.unfinished_writers(db)]
        if all(alive for _, alive in found):
            return 0
        given_up = datetime.now(UTC) - _UNKNOWN_IS_DEAD_AFTER
        with self._write() as db:
            return sum(
                writing.interrupt(db, writer, before=given_up if alive is None else None)
                for writer, alive in found
                if not alive
            )

    # Pictures

    def picture_data(self, sha256: str) -> bytes:
        """The original bytes of a stored picture. Raises StorageError when there is none."""
        with self._read() as db:
            return reading.picture_data(db, sha256)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """A consistent view: what others commit meanwhile is not seen."""
        with told_plainly(self._where), self._reader, Session(self._engine) as db:
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
