"""The one door to the database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from storage import changing, opening, reading, writers, writing
from storage.exchange.store import ExchangeStore
from storage.session_store import SessionStore
from storage.turn_store import TurnStore
from storage.types import utc_now

_UNKNOWN_IS_DEAD_AFTER = timedelta(days=1)
"""No reply takes this long: when its writer can't be looked up, it is given up then."""

_PURGED_AFTER = timedelta(days=1)
"""How long a deleted session can be restored: until the first start after this."""


class Store(SessionStore, TurnStore, ExchangeStore):
    """Sessions, turns, pictures and drafts in one database.

    Thread-safe; every method is one short transaction, and what a write method
    returned is on disk. Every method raises StorageError, in one plain sentence,
    when the database can't be read or written; methods that take the id of a
    session or turn raise SessionNotFoundError when there is none. All moments
    are timezone-aware UTC.
    """

    @classmethod
    def open(cls, location: str | Path) -> Store:
        """Open or make the database at a path, a database URL or ``":memory:"``.

        Brings an older database up to date (or leaves it as it was, if that
        fails), marks replies that a dead process left behind and purges what was
        deleted more than a day ago. Raises StorageError.
        """
        engine, where = opening.open_engine(location)
        store = cls(engine, where)
        try:
            store.recover()
            store.purge_deleted(_PURGED_AFTER)
        except BaseException:
            store.close()
            raise
        return store

    def recover(self) -> int:
        """Mark replies whose writer has died as interrupted; returns how many there were.

        A reply that another live process is writing is left alone.
        """
        with self._read() as db:
            found = [(w, writers.is_alive(w)) for w in writing.unfinished_writers(db)]
        if all(alive for _, alive in found):
            return 0
        given_up = utc_now() - _UNKNOWN_IS_DEAD_AFTER
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

    def thumbnail(self, sha256: str) -> bytes | None:
        """A small JPEG of a stored picture, or None when it was stored without one."""
        with self._read() as db:
            return reading.thumbnail(db, sha256)

    def set_picture_crops(self, session_id: str, number: int, num_crops: int | None) -> None:
        """Choose how many crops a session's picture may take at most; None: automatically.

        Raises StorageError when the session has no picture of this number.
        """
        with self._write() as db:
            changing.picture_row(db, session_id, number).num_crops = num_crops

    def set_picture_pinned(self, session_id: str, number: int, pinned: bool) -> None:
        """Keep a session's picture in what the model sees, always, or no longer.

        Raises StorageError when the session has no picture of this number.
        """
        with self._write() as db:
            changing.picture_row(db, session_id, number).pinned = pinned
