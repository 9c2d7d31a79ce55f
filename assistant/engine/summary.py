"""The rolling summary: turns that no longer fit, in the model's or a person's few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.engine.replies import Answering
from assistant.values.conversation import Conversation, Role, Summary, Turn, TurnKind
from assistant.values.errors import PhichatError
from assistant.values.events import Event, SummaryStored
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.window.layout import SUMMARY_TOKENS, Layout, Planned

if TYPE_CHECKING:
    from storage import Store

_SAMPLING = Sampling(max_new_tokens=SUMMARY_TOKENS)
"""Greedy: the same turns give the same summary."""

_TASK = (
    "Sum up the conversation below in at most 120 words, so that you can go on with it later. "
    "Keep names, numbers, decisions and what the pictures showed."
)
_SPEAKERS = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}


class Summaries:
    """Summaries of one store's sessions by one core; ``planned`` tells what a model sees."""

    def __init__(
        self,
        store: Store,
        answering: Answering,
        layout: Layout,
        planned: Callable[[Conversation], Planned],
    ) -> None:
        self._store = store
        self._answering = answering
        self._layout = layout
        self._planned = planned

    def is_due(self, session_id: str) -> bool:
        """Whether turns were left out that no summary tells of yet."""
        conversation = self._store.conversation(session_id)
        return bool(self._untold(conversation)) and not _is_kept(conversation)

    def make(self, session_id: str) -> Iterator[Event]:
        """See :meth:`assistant.engine.Engine.summarise`."""
        conversation = self._store.conversation(session_id)
        if _is_kept(conversation):
            raise PhichatError(
                "The summary that you edited tells of another branch: remove it first."
            )
        turns = self._untold(conversation)
        if not turns:
            return
        old = conversation.summary if _is_of(conversation) else None
        telling = _telling(turns, old, self._layout)
        reply = yield from self._answering.plainly(telling.prompt, _SAMPLING)
        new = telling.extended(reply)
        # what a person wrote meanwhile, here or in another terminal, stays
        if new is None or self._store.conversation(session_id).summary != conversation.summary:
            return
        self._layout.check_summary(new.text, self._planned(conversation))
        self._store.set_summary(session_id, new)
        yield SummaryStored(session_id, new)

    def write(self, session_id: str, text: str) -> Summary | None:
        """See :meth:`assistant.engine.Engine.set_summary`."""
        new = None
        if text := text.strip():
            conversation = self._store.conversation(session_id)
            planned = self._planned(conversation)
            self._layout.check_summary(text, planned)
            new = Summary(text, self._upto(conversation, planned), edited=True)
        self._store.set_summary(session_id, new)
        return new

    def _upto(self, conversation: Conversation, planned: Planned) -> str:
        old, evicted = conversation.summary, planned.plan.evicted
        if old is not None and _is_of(conversation):
            return old.upto
        if not evicted:
            raise PhichatError(
                "Everything in this conversation is still seen: there is nothing to sum up."
            )
        return evicted[-1].id

    def _untold(self, conversation: Conversation) -> tuple[Turn, ...]:
        """Of the turns that no longer fit, those that the summary does not tell of."""
        places = {turn.id: place for place, turn in enumerate(conversation.turns)}
        summary = conversation.summary
        told = places.get(summary.upto, -1) if summary is not None else -1
        return tuple(
            turn
            for turn in self._planned(conversation).plan.evicted
            if places[turn.id] > told and turn.kind is TurnKind.MESSAGE
        )


def _is_of(conversation: Conversation) -> bool:
    """Whether the stored summary tells of this branch, not of another."""
    summary = conversation.summary
    return summary is not None and any(turn.id == summary.upto for turn in conversation.turns)


def _is_kept(conversation: Conversation) -> bool:
    """Whether a person edited a summary of another branch: it is not written over."""
    summary = conversation.summary
    return summary is not None and summary.edited and not _is_of(conversation)


@dataclass(frozen=True, slots=True)
class _Telling:
    """A prompt whose reply tells of the turns up to ``upto``, after an ``old`` summary."""

    prompt: Prompt
    upto: str
    old: Summary | None

    def extended(self, reply: str) -> Summary | None:
        """The new summary; None when the model said nothing.

        What a person edited stays word for word, and the reply goes below it.
        """
        reply = reply.strip()
        if not reply:
            return None
        if self.old is not None and self.old.edited:
            return Summary(f"{self.old.text}\n\n{reply}", self.upto, edited=True)
        return Summary(reply, self.upto)


def _telling(turns: Sequence[Turn], old: Summary | None, layout: Layout) -> _Telling:
    """The prompt for as many of ``turns``, oldest first, as fit into one.

    The next summary goes on with the others. A turn that is too long alone is
    cut in its middle.
    """
    room = layout.room_alone(SUMMARY_TOKENS)
    before = f"Summary so far: {old.text}\n\n" if old is not None and not old.edited else ""

    def prompt(texts: Sequence[str]) -> Prompt:
        return layout.alone(f"{_TASK}\n\n{before}" + "\n\n".join(texts))

    texts = [_told(turn) for turn in turns]
    count = len(texts)
    while count > 1 and prompt(texts[:count]).tokens > room:
        count = count * 3 // 4
    texts = texts[:count]
    while len(texts[0]) > 1 and prompt(texts).tokens > room:
        half = len(texts[0]) * 3 // 8
        texts = [texts[0][:half] + " … " + texts[0][-half:]] if half > 3 else [""]
    return _Telling(prompt(texts), turns[count - 1].id, old)


def _told(turn: Turn) -> str:
    pictures = "".join(f"[picture {p.number}: {p.name}] " for p in turn.pictures)
    return f"{_SPEAKERS[turn.role]}: {pictures}{turn.text}"
