"""What is asked of the model when it sums up turns that it no longer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.conversation import Conversation, Role, Summary, Turn, TurnKind
from assistant.core import Prompt, Sampling
from assistant.layout import SUMMARY_TOKENS, Layout

SAMPLING = Sampling(max_new_tokens=SUMMARY_TOKENS)
"""Greedy: the same turns give the same summary."""

_TASK = (
    "Sum up the conversation below in at most 120 words, so that you can go on with it later. "
    "Keep names, numbers, decisions and what the pictures showed."
)
_SPEAKERS = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}


@dataclass(frozen=True, slots=True)
class Telling:
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


def is_of(conversation: Conversation) -> bool:
    """Whether the stored summary tells of this branch, not of another."""
    summary = conversation.summary
    return summary is not None and any(turn.id == summary.upto for turn in conversation.turns)


def untold(evicted: Sequence[Turn], conversation: Conversation) -> tuple[Turn, ...]:
    """Of the turns that no longer fit, those that the summary does not tell of."""
    places = {turn.id: place for place, turn in enumerate(conversation.turns)}
    summary = conversation.summary
    told = places.get(summary.upto, -1) if summary is not None else -1
    return tuple(
        turn for turn in evicted if places[turn.id] > told and turn.kind is TurnKind.MESSAGE
    )


def telling(turns: Sequence[Turn], old: Summary | None, layout: Layout) -> Telling:
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
    return Telling(prompt(texts), turns[count - 1].id, old)


def _told(turn: Turn) -> str:
    pictures = "".join(f"[picture {p.number}: {p.name}] " for p in turn.pictures)
    return f"{_SPEAKERS[turn.role]}: {pictures}{turn.text}"
