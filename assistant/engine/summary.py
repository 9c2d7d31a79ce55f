"""Rolling summary of the turns that no longer fit, written by the model or by the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.values.conversation import Conversation, Role, Summary, Turn, TurnKind
from assistant.values.errors import PhichatError
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.window.layout import SUMMARY_TOKENS, Layout, Planned

SAMPLING = Sampling(max_new_tokens=SUMMARY_TOKENS)
"""Greedy: the same turns give the same summary."""

_TASK = (
    "Sum up the conversation below in at most 120 words, so that you can go on with it later. "
    "Keep names, numbers, decisions and what the pictures showed."
)
_SPEAKERS = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}


def uncovered(conversation: Conversation, planned: Planned) -> tuple[Turn, ...]:
    """List the messages that no longer fit and that the summary does not cover."""
    places = {turn.id: place for place, turn in enumerate(conversation.turns)}
    summary = conversation.summary
    covered = places.get(summary.upto, -1) if summary is not None else -1
    return tuple(
        turn
        for turn in planned.plan.evicted
        if places[turn.id] > covered and turn.kind is TurnKind.MESSAGE
    )


def last_covered(conversation: Conversation, planned: Planned) -> str:
    """Find the id of the last turn that a summary written now covers.

    Raises PhichatError when every turn is still seen.
    """
    old, evicted = conversation.summary, planned.plan.evicted
    if old is not None and is_of_branch(conversation):
        return old.upto
    if not evicted:
        raise PhichatError("Everything in this chat is still seen: there is nothing to sum up.")
    return evicted[-1].id


def is_of_branch(conversation: Conversation) -> bool:
    """Whether the stored summary tells of this branch, not of another."""
    summary = conversation.summary
    return summary is not None and any(turn.id == summary.upto for turn in conversation.turns)


def is_kept(conversation: Conversation) -> bool:
    """Whether the user edited a summary of another branch: it is not overwritten."""
    summary = conversation.summary
    return summary is not None and summary.edited and not is_of_branch(conversation)


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt whose reply tells of the turns up to ``upto``, after an ``old`` summary."""

    prompt: Prompt
    upto: str
    old: Summary | None

    def extended(self, reply: str) -> Summary | None:
        """Extend the old summary by the reply; None when the model said nothing.

        Text that the user edited stays word for word, and the reply goes below it.
        """
        reply = reply.strip()
        if not reply:
            return None
        if self.old is not None and self.old.edited:
            return Summary(f"{self.old.text}\n\n{reply}", self.upto, edited=True)
        return Summary(reply, self.upto)


def ask(turns: Sequence[Turn], old: Summary | None, layout: Layout) -> Asked:
    """Make the prompt for as many of ``turns``, oldest first, as fit into one.

    The next summary continues with the others. A turn that is too long alone is
    cut in its middle.
    """
    room = layout.room_alone(SUMMARY_TOKENS)
    before = f"Summary so far: {old.text}\n\n" if old is not None and not old.edited else ""

    def prompt(texts: Sequence[str]) -> Prompt:
        return layout.alone(f"{_TASK}\n\n{before}" + "\n\n".join(texts))

    texts = [_line(turn) for turn in turns]
    count = len(texts)
    while count > 1 and prompt(texts[:count]).tokens > room:
        count = count * 3 // 4
    texts = texts[:count]
    while len(texts[0]) > 1 and prompt(texts).tokens > room:
        half = len(texts[0]) * 3 // 8
        texts = [texts[0][:half] + " … " + texts[0][-half:]] if half > 3 else [""]
    return Asked(prompt(texts), turns[count - 1].id, old)


def _line(turn: Turn) -> str:
    pictures = "".join(f"[picture {p.number}: {p.name}] " for p in turn.pictures)
    return f"{_SPEAKERS[turn.role]}: {pictures}{turn.text}"
