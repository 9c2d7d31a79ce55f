"""The door's methods for sessions as a whole: listed, changed, deleted, forked."""

from __future__ import annotations

from datetime import timedelta

from assistant.values.conversation import Draft, SessionSummary, Summary
from assistant.values.sampling import Parameters
from storage import branches, changing, drafting, reading
from storage.access import Access
from storage.types import utc_now


class SessionStore(Access):
    """Sessions, and the drafts that belong to them."""

    def sessions(self, limit: int = 200, offset: int = 0) -> list[SessionSummary]:
        """Pinned sessions first, then the others, each the most recently used first.

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

    def models(self) -> list[str]:
        """The models that sessions are meant for, the most recently used first."""
        with self._read() as db:
            return reading.models(db)

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title. Raises StorageError for one without visible characters."""
        with self._write() as db:
            changing.rename(db, session_id, title)

    def set_pinned(self, session_id: str, pinned: bool) -> None:
        """Pin a session, or let it go."""
        with self._write() as db:
            changing.set_pinned(db, session_id, pinned)

    def set_head(self, session_id: str, turn_id: str) -> None:
        """Make the branch that ends with ``turn_id`` the session's current one."""
        with self._write() as db:
            changing.set_head(db, session_id, turn_id)

    def set_model(self, session_id: str, model: str | None) -> None:
        """Choose the model of a session."""
        with self._write() as db:
            changing.set_model(db, session_id, model)

    def set_system(self, session_id: str, system: str | None) -> None:
        """Give a session its own system prompt; None takes it away."""
        with self._write() as db:
            changing.set_system(db, session_id, system)

    def set_parameters(self, session_id: str, parameters: Parameters) -> None:
        """Choose what a session generates with, all of it at once."""
        with self._write() as db:
            changing.set_parameters(db, session_id, parameters)

    def set_summary(self, session_id: str, summary: Summary | None) -> None:
        """Keep the summary of a session's earlier turns, in the place of the one before.

        Raises SessionNotFoundError when ``summary.upto`` is not a turn of the session.
        """
        with self._write() as db:
            changing.set_summary(db, session_id, summary)

    def fork(self, session_id: str, turn_id: str | None = None) -> str:
        """Copy the branch that ends with a turn (None: the current one) into a new session.

        Returns the new session's id. Its turns have ids of their own; picture
        numbers, moments, model, system prompt, parameters and, where it still
        fits, the summary are the same. A reply that is still being written is
        interrupted in the copy.
        """
        with self._write() as db:
            return branches.fork(db, session_id, turn_id)

    # Deleting

    def delete(self, session_id: str, *, for_good: bool = False) -> None:
        """Delete a session with all its turns, and the pictures that nothing else shows.

        It can be brought back with :meth:`restore` until :meth:`purge_deleted`
        takes it, and appears nowhere meanwhile: not in a list, not in a search.
        With ``for_good`` it is gone at once (also one that was deleted before).
        """
        with self._write() as db:
            if for_good:
                changing.delete_for_good(db, session_id)
            else:
                changing.hide(db, session_id)

    def restore(self, session_id: str) -> None:
        """Bring a deleted session back as it was. Raises SessionNotFoundError when it is purged."""
        with self._write() as db:
            changing.restore(db, session_id)

    def purge_deleted(self, older_than: timedelta) -> int:
        """Delete for good what was deleted at least so long ago; returns how many sessions."""
        before = utc_now() - older_than
        with self._read() as db:
            if not changing.is_purgeable(db, before):
                return 0
        with self._write() as db:
            return changing.purge(db, before)

    # Drafts

    def save_draft(self, session_id: str | None, draft: Draft) -> None:
        """Keep what is typed and attached in a session (None: in a new one) and not sent yet.

        It takes the place of the draft before; an empty one only drops that.
        Bytes that are stored already are not written again.
        """
        with self._write() as db:
            drafting.save(db, session_id, draft)

    def draft(self, session_id: str | None) -> Draft | None:
        """The draft of a session (None: of a new one), or None when there is none."""
        with self._read() as db:
            return drafting.read(db, session_id)

    def draft_of(self, session_id: str, turn_id: str) -> Draft:
        """A stored message as a draft: its text, and its pictures with their bytes."""
        with self._read() as db:
            return drafting.of_turn(db, session_id, turn_id)

    def drop_draft(self, session_id: str | None) -> None:
        """Forget a draft; harmless when there is none."""
        with self._write() as db:
            drafting.drop(db, session_id)
