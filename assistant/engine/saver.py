"""Storing of growing replies, each in a thread of its own, while the database may be away.

Generation never waits for the database: what could not be stored is tried again, with longer and
longer pauses, until it is there. The end of a reply is waited for, because the next message is
read from the database; the user, or the end of the program, may shorten that wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

from assistant.values.chances import Chances
from assistant.values.conversation import Thought, Turn
from assistant.values.errors import (
    DamagedError,
    LeaseLostError,
    SessionNotFoundError,
    StorageError,
)
from assistant.values.events import Event, Progressed, Stage, StoreLost

if TYPE_CHECKING:
    from storage.store import Store

R = TypeVar("R")
_Kept = tuple[str, tuple[int, ...], Thought | None]
log = logging.getLogger(__name__)

RENEW_S = 10.0
"""Seconds after which the lease of a reply that does not grow is renewed: a third of its length."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 2.0
"""Seconds between two tries to store; the pause doubles from the first to the longest."""
NOTICE_S = 2.0
"""Seconds without an answer of the database before the user hears of it."""
READING_S = 60.0
"""Seconds for which reading is tried again before a reply begins; the user may shorten that."""
BEHIND_S = 600.0
"""Seconds for which a reply that is not waited for any more is still tried to be stored."""
LEAVING_S = 1.0
"""Seconds that the end of the program waits."""


class Patience:
    """Wait of one program for its database: how long, and whether the user gave it up."""

    def __init__(self) -> None:
        self.limit_s: float | None = None
        """Seconds to wait at the end of a reply; None: until the user gives up."""
        self.changed = threading.Condition()
        self.is_over = False
        """The program ends: nothing is tried again."""
        self.is_leaving = False
        """The user leaves: what breaks off now was stopped."""
        self._is_given_up = False
        self._threads: set[threading.Thread] = set()

    def begin(self) -> None:
        """Begin a reply: what was given up concerned another one."""
        self._is_given_up = False

    def give_up(self) -> None:
        """End the wait that there is now, if there is one."""
        with self.changed:
            self._is_given_up = True
            self.changed.notify_all()

    def leave(self) -> None:
        """From now on wait a second at most: the user leaves."""
        with self.changed:
            self.limit_s = LEAVING_S
            self.is_leaving = True
            self.changed.notify_all()

    def close(self) -> None:
        """End the threads that still try to store."""
        with self.changed:
            self.is_over = True
            self.changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(LEAVING_S)

    def is_spent(self, since: float) -> bool:
        """Whether a wait that began at ``since`` (monotonic seconds) is over."""
        limit = self.limit_s
        return (
            self._is_given_up
            or self.is_over
            or (limit is not None and time.monotonic() - since >= limit)
        )

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread that does not keep the program from ending."""

        def run() -> None:
            try:
                work()
            finally:
                with self.changed:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="saver", daemon=True)
        with self.changed:
            self._threads.add(thread)
        thread.start()

    def reading(self, read: Callable[[], R]) -> R:
        """Return what ``read`` does, again and again while the database is away.

        Raises StorageError when that takes too long, or the user gives up.
        """
        started, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                return read()
            except (SessionNotFoundError, DamagedError):
                raise
            except StorageError:
                if self.is_spent(started) or time.monotonic() - started > READING_S:
                    raise
            with self.changed:
                self.changed.wait_for(lambda: self.is_spent(started), pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


class Saver:
    """Stores one growing reply: its checkpoints, then its end."""

    def __init__(self, store: Store, turn_id: str, patience: Patience) -> None:
        self._store, self._turn_id, self._patience = store, turn_id, patience
        self._kept: _Kept | None = None
        self._end: Turn | None = None
        self._chances: Chances | None = None
        self._is_due = False
        self._stored: Turn | None = None
        self._failure: StorageError | None = None
        """The reason for which no number of tries can store it."""
        self._error = ""
        """The reason for which the last try failed."""
        self._is_hopeless = False
        """The end can't be stored, however long it is tried."""
        self._trying_since: float | None = None
        """The start of the first try since the last one that went well."""
        self._is_noticed = False
        self._behind_since: float | None = None
        """Moment at which the wait for the end was given up."""
        patience.start(self._run)

    def keep(self, text: str, ids: tuple[int, ...], thought: Thought | None) -> None:
        """Let the text, ids and thought so far be stored; returns at once.

        Raises StorageError if they never can.
        """
        if self._failure is not None:
            raise self._failure
        with self._patience.changed:
            self._kept = text, ids, thought
            if not self._error:
                self._is_due = True
                self._patience.changed.notify_all()

    def finish(self, end: Turn, chances: Chances | None = None) -> None:
        """Let the end be stored, with the chance of each id; returns at once."""
        with self._patience.changed:
            self._end, self._chances = end, chances
            self._is_due = True
            self._patience.changed.notify_all()

    def notice(self) -> StoreLost | None:
        """Return what to tell the user if the database does not take the reply, once."""
        since = self._trying_since
        if self._is_noticed or since is None or time.monotonic() - since < NOTICE_S:
            return None
        self._is_noticed = True
        why = self._error or "The database does not answer."
        return StoreLost(f"{why} The reply goes on, and is stored when the database is back.")

    def wait(self, seconds: float | None = None) -> Generator[Event, None, tuple[Turn, str]]:
        """Wait for the end to be stored; returns the turn, and why it is not stored or "".

        Waits ``seconds`` at most, and not longer than the user wants. Raises StorageError when
        there is nothing to wait for: the session was deleted, say.
        """
        started, is_shown = time.monotonic(), False

        def is_over() -> bool:
            is_late = seconds is not None and time.monotonic() - started >= seconds
            is_done = self._stored is not None or self._failure is not None
            is_given_up = self._is_hopeless or self._patience.is_spent(started)
            return is_done or is_late or is_given_up

        while True:
            with self._patience.changed:
                self._patience.changed.wait_for(is_over, FIRST_PAUSE_S)
                if self._stored is not None:
                    return self._stored, ""
                if self._failure is not None:
                    raise self._failure
                if is_over():
                    self._behind_since = time.monotonic()
                    break
            if not is_shown and (noticed := self.notice()) is not None:
                yield noticed
            if self._is_noticed and not is_shown:
                is_shown = True
                yield Progressed(Stage.STORING)
        assert self._end is not None
        why = self._error or "The database does not answer."
        return self._end, f"{why} The end of this reply is not stored."

    # In the thread

    def _run(self) -> None:
        pause = 0.0
        while self._stored is None and self._failure is None:
            if self._is_hopeless or self._is_late():
                self._store.give_up_reply(self._turn_id)
                return
            with self._patience.changed:
                self._patience.changed.wait_for(
                    lambda: self._is_due or self._patience.is_over, pause or RENEW_S
                )
                self._is_due = False
            is_well = self._has_stored()
            pause = 0.0 if is_well else min(2 * pause or FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def _is_late(self) -> bool:
        behind = self._behind_since
        return self._patience.is_over or (
            behind is not None and time.monotonic() - behind > BEHIND_S
        )

    def _has_stored(self) -> bool:
        """Store what there is; returns whether that went well."""
        end, kept = self._end, self._kept
        self._trying_since = self._trying_since or time.monotonic()
        try:
            stored = self._store_once(end, kept)
        except (LeaseLostError, SessionNotFoundError) as error:
            self._settle(None, error)
        except StorageError as error:
            self._error = str(error)
            self._is_hopeless = end is not None and isinstance(error, DamagedError)
            return False
        except Exception as error:  # a driver whose server goes away raises many kinds
            log.exception("a reply could not be stored")
            self._error = f"The database failed ({type(error).__name__})."
            return False
        else:
            self._error, self._trying_since = "", None
            if stored is not None:
                self._settle(stored, None)
        return True

    def _store_once(self, end: Turn | None, kept: _Kept | None) -> Turn | None:
        if end is None:
            self._store.checkpoint_reply(self._turn_id, *(kept or (None, None, None)))
            return None
        assert end.finish_reason is not None
        return self._store.finish_reply(
            self._turn_id,
            text=end.text,
            token_ids=end.token_ids,
            finish_reason=end.finish_reason,
            usage=end.usage,
            timings=end.timings,
            thought=end.thought,
            chances=self._chances,
        )

    def _settle(self, stored: Turn | None, failure: StorageError | None) -> None:
        self._store.give_up_reply(self._turn_id)  # first: the reply may be continued at once
        with self._patience.changed:
            self._stored, self._failure = stored, failure
            self._patience.changed.notify_all()
