"""Prompts of the next message: the branch it follows, planned and rendered for the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assistant.engine.model import Model
from assistant.values.context import ContextReport
from assistant.values.conversation import Conversation, Draft, Parent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.window.layout import Planned, PromptPreview, Request, as_turn
from assistant.window.readable import Piece, spell, spell_messages

if TYPE_CHECKING:
    from storage.store import Store


class Prompts:
    """Prompts for the chosen model. The store is opened when a stored session is asked for."""

    def __init__(self, store: Callable[[], Store], model: Model) -> None:
        self._store = store
        self._model = model
        self._last_read: tuple[object, Conversation] | None = None

    def preview(
        self,
        session_id: str | None,
        draft: Draft | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
        system: str | None = None,
    ) -> PromptPreview:
        """Render the prompt that sending ``draft`` now would give. Stores nothing.

        ``system`` is that of a new session. Raises PhichatError (``too_long``) where
        :meth:`assistant.engine.engine.Engine.send` would.
        """
        layout = self._model.layout
        planned = self.plan(self.above(session_id, parent, system=system), draft)
        layout.check(planned)
        return layout.preview(planned)

    def context(
        self,
        session_id: str | None,
        draft: Draft | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
        system: str | None = None,
    ) -> ContextReport:
        """Report how full the context is, or would be with ``draft``: for a meter.

        Cheap enough for every key press, and not an error when ``draft`` is too long: ``used`` is
        more than ``budget`` then.
        """
        above = self.above(session_id, parent, system=system, cached=True)
        return self._model.layout.report(self.plan(above, draft))

    def spell(self, preview: PromptPreview) -> tuple[Piece, ...]:
        """Split a prompt into readable pieces: text, control tokens or roles by name, pictures."""
        if preview.context.is_estimate:
            return spell_messages(preview.prompt, preview.context.pictures)
        return spell(preview.prompt, preview.context.pictures, self._model.layout.chat)

    def above(
        self,
        session_id: str | None,
        parent: str | Parent | None,
        *,
        system: str | None = None,
        cached: bool = False,
    ) -> Conversation:
        """Read the conversation that a new message follows; session ``None`` is a new, empty one.

        A new one begins with ``system``; None: with that of the settings. ``cached`` reads it
        again only after the database changed.
        """
        if session_id is None:
            now = datetime.now(UTC)
            first = self._model.settings.system if system is None else system
            return Conversation("", "", now, now, system=first or None)
        store = self._store()
        key = (store.changes(), session_id, parent) if cached else None
        if self._last_read is not None and key is not None and self._last_read[0] == key:
            return self._last_read[1]
        head = parent if isinstance(parent, str) else None
        conversation = store.conversation(session_id, head=head)
        if parent is None:
            conversation = replace(conversation, turns=())
        if key is not None:
            self._last_read = key, conversation
        return conversation

    def plan(
        self,
        above: Conversation,
        draft: Draft | None = None,
        sampling: Sampling | None = None,
        *,
        count: Callable[[Prompt], bool] | None = None,
    ) -> Planned:
        """Plan the window for ``above``, with ``draft`` as the next message.

        One that is sent is counted by ``count``, that of the core which will answer.
        """
        if draft is not None:
            above = replace(above, turns=(*above.turns, as_turn(draft, above.turns)))
        chosen = sampling or self._model.sampling(above.parameters)
        asked = request(above, chosen, summaries=self._model.settings.summaries)
        layout, fresh = self._model.layout, draft is not None
        if count is not None:
            return layout.plan_to_send(asked, count, fresh=fresh)
        return layout.plan(asked, fresh=fresh)


def request(
    conversation: Conversation,
    sampling: Sampling,
    *,
    summaries: bool,
    begun: tuple[int, ...] = (),
) -> Request:
    """Turn a branch into a request for the layout; ``begun`` are ids of a reply to continue."""
    return Request(
        conversation.turns,
        conversation.system,
        sampling.max_new_tokens,
        conversation.summary,
        summaries,
        begun,
    )
