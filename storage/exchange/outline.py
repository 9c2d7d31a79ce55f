"""Outline of a conversation for readers, common to Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from assistant.values.conversation import Conversation, FinishReason, Picture, Role, Turn, TurnKind
from assistant.values.text import one_line

PictureData = Callable[[str], bytes]
"""The original bytes of the picture with a sha256."""

_SPEAKERS = {Role.USER: "You", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}
_ENDS = {
    FinishReason.LENGTH: "cut at the longest length",
    FinishReason.STOPPED: "stopped",
    FinishReason.INTERRUPTED: "interrupted",
    FinishReason.ERROR: "ended by an error",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn in the order of reading; ``other`` ones are not on the current branch."""

    number: int
    turn: Turn
    follows: int | None
    other: bool

    @property
    def speaker(self) -> str:
        """Name of the speaker."""
        recalled = self.turn.kind is TurnKind.RECALL
        return "Recalled" if recalled else _SPEAKERS[self.turn.role]

    @property
    def remarks(self) -> list[str]:
        """Other facts of the turn, in words."""
        turn = self.turn
        words: list[str] = []
        if self.other:
            words.append(f"follows {self.follows}" if self.follows else "another beginning")
        if turn.model:
            words.append(one_line(turn.model, 120))
        if turn.role is Role.ASSISTANT:
            end = _ENDS.get(turn.finish_reason or FinishReason.INTERRUPTED)
            words += [end] if end else []
        words += ["pinned"] if turn.pinned else []
        words += ["left out of the context"] if turn.excluded else []
        return words


def entries(conversation: Conversation, every_turn: tuple[Turn, ...]) -> Iterator[Entry]:
    """Yield the turns, numbered from 1: the current branch, then the others of ``every_turn``."""
    numbers: dict[str, int] = {}
    on_branch = {turn.id for turn in conversation.turns}
    others = [turn for turn in every_turn if turn.id not in on_branch]
    for number, turn in enumerate((*conversation.turns, *others), 1):
        numbers[turn.id] = number
        follows = None if turn.parent is None else numbers.get(turn.parent)
        yield Entry(number, turn, follows, turn.id not in on_branch)


def facts(conversation: Conversation) -> list[tuple[str, str]]:
    """List names and values for the head of a document, in plain text on one line each."""
    found = [
        ("Chat", conversation.id),
        ("Begun", moment(conversation.created)),
        ("Last used", moment(conversation.updated)),
    ]
    if conversation.model:
        found.append(("Model", one_line(conversation.model, 200)))
    return found


def title(conversation: Conversation) -> str:
    """Return the title in one line; the id if it has no visible character."""
    return one_line(conversation.title) or conversation.id


def caption(picture: Picture) -> str:
    """Return the caption of a picture."""
    name = one_line(picture.name, 120)
    whole = picture.region.number if picture.region else 0
    part = f", part of picture {whole}" if whole else ""
    return f"picture {picture.number}: {name}, {picture.width} x {picture.height}{part}"


def moment(when: datetime) -> str:
    """Format a moment for readers."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
