"""The door's methods for turns: read, sent, answered, marked."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.values.conversation import (
    Conversation,
    Draft,
    FinishReason,
    Parent,
    PictureFile,
    SearchHit,
    Timings,
    Turn,
    Usage,
)
from assistant.values.sampling import Parameters
from storage import branches, changing, reading, searching, writing
from storage.access import Access


class TurnStore(Access):
    """Turns as a tree: nothing that was said is ever overwritten."""

    def conversation(self, session_id: str, *, head: str | None = None) -> Conversation:
        """A session's current branch, or the one that ends with the turn ``head``."""
        with self._read() as db:
            return reading.conversation(db, session_id, head)

    def tail(self, session_id: str, count: int, *, before: str | None = None) -> tuple[Turn, ...]:
        """The last ``count`` turns of a session's current branch, oldest first.

        With ``before`` (a turn's id), the last ones above that turn. Takes as
        long for a session of 100,000 turns as for a short one.
        """
        with self._read() as db:
            return branches.tail(db, session_id, count, before)

    def all_turns(self, session_id: str) -> tuple[Turn, ...]:
        """Every turn of every branch, in the order they were stored."""
        with self._read() as db:
            return reading.all_turns(db, session_id)

    def siblings(self, turn_id: str) -> tuple[Turn, ...]:
        """The alternatives of a reply or of a message, itself among them, oldest first."""
        with self._read() as db:
            return branches.siblings(db, turn_id)

    def turn(self, turn_id: str) -> Turn:
        """A turn of any session."""
        with self._read() as db:
            return reading.turn(db, reading.turn_row(db, turn_id))

    def choose(self, session_id: str, turn_id: str) -> Conversation:
        """Make the branch of ``turn_id`` current, up to the newest turn after it."""
        with self._write() as db:
            changing.set_head(db, session_id, branches.newest_leaf(db, turn_id))
            return reading.conversation(db, session_id, None)

    def newest_leaf(self, turn_id: str) -> str:
        """The id of the turn stored last among all that follow ``turn_id``, or of that itself.

        Where to set the head when a person steps to an alternative.
        """
        with self._read() as db:
            return branches.newest_leaf(db, turn_id)

    def search(
        self, words: str, *, limit: int = 50, session_id: str | None = None
    ) -> list[SearchHit]:
        """Turns of every branch, titles and names of pictures with all these words, best first.

        ``"words in quotes"`` must follow one another; ``word*``, and the last word
        while nothing is typed after it, may go on. Case and accents make no
        difference; pieces of Chinese, Japanese, Korean or Thai text and single
        emoji are found. Nothing that is typed is an error: what can't be looked for
        finds nothing. ``session_id`` looks through one session only.

        Of the turns that match, the newest 1,000 are ranked (by BM25, a longer turn
        needs more of the words), of titles and names the newest 200: a common word
        takes no longer than a rare one. A reply is found once it has ended.
        """
        with self._read() as db:
            return searching.search(db, words, limit, session_id)

    def add_user_turn(
        self,
        session_id: str | None,
        draft: Draft,
        *,
        parent: str | Parent | None = Parent.HEAD,
        model: str | None = None,
        system: str | None = None,
        drop_draft: bool = False,
    ) -> tuple[str, Turn]:
        """Store what a person sends; returns the session's id and the turn.

        ``session_id`` None starts a session, titled after the text or the first
        picture. ``parent`` is the turn that this one answers: by default the end
        of the current branch (while another terminal is being answered there, the
        turn before its message: the two become siblings); an earlier turn, to
        edit what followed it; None for the first turn. The new turn becomes the
        head. ``model`` and ``system`` are remembered for the session when given.
        ``drop_draft`` drops the draft saved for ``session_id`` in the same
        transaction.

        Each picture gets the session's next number, except that one which an
        earlier version of this message (a sibling) showed keeps its number.
        """
        with self._write() as db:
            return writing.add_user_turn(db, session_id, draft, parent, model, system, drop_draft)

    def picture_numbers(
        self,
        session_id: str | None,
        pictures: Sequence[PictureFile],
        *,
        parent: str | Parent | None = Parent.HEAD,
    ) -> list[int]:
        """The numbers that :meth:`add_user_turn` would give these pictures now."""
        with self._read() as db:
            return writing.picture_numbers(db, session_id, pictures, parent)

    def add_recall_turn(
        self, session_id: str, text: str, *, parent: str | Parent | None = Parent.HEAD
    ) -> Turn:
        """Store quoted earlier turns as a user turn that awaits no reply; it becomes the head."""
        with self._write() as db:
            return writing.add_recall_turn(db, session_id, text, parent)

    def set_turn_pinned(self, turn_id: str, pinned: bool) -> None:
        """Keep a turn in what the model sees, always, or no longer."""
        with self._write() as db:
            reading.turn_row(db, turn_id).pinned = pinned

    def set_turn_excluded(self, turn_id: str, excluded: bool) -> None:
        """Take a turn out of what the model sees (it stays everywhere else), or put it back."""
        with self._write() as db:
            reading.turn_row(db, turn_id).excluded = excluded

    def start_reply(
        self,
        session_id: str,
        parent_turn_id: str,
        *,
        model: str,
        parameters: Parameters | None = None,
    ) -> Turn:
        """Store an empty reply to a turn; it becomes the head, beside any earlier reply.

        ``parameters`` are those that it is generated with.
        """
        with self._write() as db:
            return writing.start_reply(db, session_id, parent_turn_id, model, parameters)

    def reopen_reply(self, turn_id: str) -> Turn:
        """Let a half reply go on: the same turn, unfinished again, in the hands of this process.

        What it has stays until the first checkpoint. Raises StorageError when
        the model ended it by itself, or when it is being written.
        """
        with self._write() as db:
            return writing.reopen_reply(db, turn_id)

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
