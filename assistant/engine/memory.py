"""Memory of what the model no longer sees: quotations of earlier turns, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from assistant.engine import recall, summary
from assistant.engine.model import Model
from assistant.engine.prompts import Prompts
from assistant.engine.replies import generate_text
from assistant.values.conversation import Summary, Turn
from assistant.values.errors import PhichatError
from assistant.values.events import Event, SummaryStored

if TYPE_CHECKING:
    from storage.store import Store


class Memory:
    """Quotations and summaries of one store's sessions, planned for the chosen model."""

    def __init__(self, store: Callable[[], Store], model: Model, prompts: Prompts) -> None:
        self._store = store
        self._model = model
        self._prompts = prompts

    def recall(self, session_id: str, words: str, *, everywhere: bool = False) -> Turn:
        """Quote earlier turns that have these words, as one turn that the model reads next.

        Searches what the model does not see of this session, or ``everywhere`` in every session.
        Raises PhichatError (``nothing_found``), and then nothing is stored.
        """
        store = self._store()
        planned = self._prompts.plan(store.conversation(session_id))
        seen = {one.turn.id for one in planned.plan.seen}
        hits = store.search(words, session_id=None if everywhere else session_id)
        found = recall.quotable(hits, seen, store.turn)
        if not found:
            where = "in any chat" if everywhere else "in this chat"
            raise PhichatError(
                f"Nothing that the model does not see already has these words {where}: try others.",
                code="nothing_found",
            )
        room = planned.budget // recall.SHARE
        count = self._model.layout.counter.message
        text = recall.quote(words, found, lambda text: count(text) <= room)
        if text is None:
            raise PhichatError(
                "The context is too small for a quotation: give it more (the setting context).",
                code="too_long",
            )
        return store.add_recall_turn(session_id, text)

    def is_summary_due(self, session_id: str) -> bool:
        """Whether summaries are on and turns were left out that no summary covers yet."""
        if not self._model.settings.summaries:
            return False
        conversation = self._store().conversation(session_id)
        planned = self._prompts.plan(conversation)
        return bool(summary.uncovered(conversation, planned)) and not summary.is_kept(conversation)

    def summarise(self, session_id: str) -> Iterator[Event]:
        """Have the model sum up the turns that no longer fit, beyond the last summary.

        Call it while no reply runs; :meth:`assistant.engine.engine.Engine.stop` ends it, and
        nothing is stored then. A summary that the user edited keeps the user's words and gets one
        paragraph more. Yields SummaryStored last, or nothing when every turn is covered. Raises
        PhichatError.
        """
        store, core, layout = self._store(), self._model.core, self._model.layout
        conversation = store.conversation(session_id)
        if summary.is_kept(conversation):
            raise PhichatError(
                "The summary that you edited tells of another branch: remove it first."
            )
        planned = self._prompts.plan(conversation)
        turns = summary.uncovered(conversation, planned)
        if not turns:
            return
        old = conversation.summary if summary.is_of_branch(conversation) else None
        asked = summary.ask(turns, old, layout)
        reply = yield from generate_text(core, layout.chat, asked.prompt, summary.SAMPLING)
        new = asked.extended(reply)
        # a summary that the user wrote meanwhile, here or in another terminal, stays
        if new is None or store.conversation(session_id).summary != conversation.summary:
            return
        layout.check_summary(new.text, self._prompts.plan(conversation))
        store.set_summary(session_id, new)
        yield SummaryStored(session_id, new)

    def set_summary(self, session_id: str, text: str) -> Summary | None:
        """Store the user's own summary of what no longer fits; an empty text deletes the summary.

        Raises PhichatError when nothing was left out, or the text is too long.
        """
        store = self._store()
        new = None
        if text := text.strip():
            conversation = store.conversation(session_id)
            planned = self._prompts.plan(conversation)
            self._model.layout.check_summary(text, planned)
            new = Summary(text, summary.last_covered(conversation, planned), edited=True)
        store.set_summary(session_id, new)
        return new
