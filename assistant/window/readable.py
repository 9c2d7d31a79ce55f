"""Readable form of a prompt: its text and control tokens, token for token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from assistant.servers.messages import messages
from assistant.values.context import PictureCost
from assistant.values.prompt import ChatFormat, Prompt, Slot


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text, one control token (``is_control``), or one ``picture``.

    ``text`` is that of the ids, or the control token's name; a picture has no ids. A control token
    that ``begins`` a message begins a line.
    """

    text: str
    ids: tuple[int, ...] = ()
    is_control: bool = False
    begins: bool = False
    picture: PictureCost | None = None


def spell(prompt: Prompt, pictures: Sequence[PictureCost], chat: ChatFormat) -> tuple[Piece, ...]:
    """Split a prompt into its pieces, in order; ``pictures`` are those of its slots."""
    costs = iter(pictures)
    pieces = []
    for part in prompt.parts:
        if isinstance(part, Slot):
            pieces.append(Piece("", picture=next(costs)))
            continue
        for name, run in groupby(part, chat.vocabulary.control_name):
            ids = tuple(run)
            if name is None:
                pieces.append(Piece(chat.vocabulary.text(ids), ids))
            else:
                begins = name in chat.openers
                pieces += [Piece(name, (one,), is_control=True, begins=begins) for one in ids]
    return tuple(pieces)


def spell_messages(prompt: Prompt, pictures: Sequence[PictureCost]) -> tuple[Piece, ...]:
    """Split a server's prompt: it is sent messages and adds control tokens itself."""
    costs = iter(pictures)
    pieces = []
    for message in messages(prompt):
        pieces.append(Piece(f"{message.role} ", is_control=True, begins=True))
        for part in message.parts:
            if isinstance(part, str):
                pieces.append(Piece(part))
            else:
                pieces.append(Piece("", picture=next(costs)))
    return tuple(pieces)
