"""Messages of a chat from a prompt: roles, texts, pictures in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from assistant.servers.vocabulary import TextVocabulary
from assistant.values.conversation import Role
from assistant.values.prompt import Prompt, Slot

_VOCABULARY = TextVocabulary()


@dataclass
class Message:
    """``parts`` are texts and picture slots in order; a reply that is not ``whole`` goes on."""

    role: Role
    parts: list[str | Slot] = field(default_factory=list)
    whole: bool = False


def messages(prompt: Prompt, *, alone: bool = False) -> list[Message]:
    """Return the messages that were laid out in :data:`assistant.servers.vocabulary.STYLE`.

    Neighbours of one role (a summary and the question after it) become one
    message: many servers insist that roles take turns. The template's own line
    breaks, after a role and around pictures, are not part of the messages. ``alone``: what was said
    before the last message of the user is left out.
    """
    found: list[Message] = []
    split = list(_split(prompt))
    for one in _alone(split) if alone else split:
        if one.role is Role.ASSISTANT and one.parts == [""]:
            continue  # where the reply begins, or one that failed before its first word
        before = found[-1] if found else None
        if before is None or before.role is not one.role:
            found.append(one)
            continue
        if isinstance(before.parts[-1], str) and isinstance(one.parts[0], str):
            one.parts[0] = f"{before.parts.pop()}\n\n{one.parts[0]}"
        before.parts += one.parts
        before.whole = one.whole
    return found


def asked_pictures(prompt: Prompt) -> int:
    """Count the pictures of the last message of the user, without those that it is sent with."""
    asked = [one for one in _split(prompt) if one.role is Role.USER]
    return sum(isinstance(part, Slot) for part in asked[-1].parts) if asked else 0


def has_earlier(prompt: Prompt) -> bool:
    """Say whether anything was said before the last message of the user."""
    split = list(_split(prompt))
    return len(_alone(split)) < len(split)


def _alone(said: list[Message]) -> list[Message]:
    """Leave out what was said before the last message of the user, but for the system message."""
    last = max((at for at, one in enumerate(said) if one.role is Role.USER), default=0)
    return [*(one for one in said[:last] if one.role is Role.SYSTEM), *said[last:]]


def without_system(said: list[Message]) -> list[Message]:
    """Put a system message in front of the first one of the user, for models that know none."""
    system, *rest = said
    if system.role is not Role.SYSTEM:
        return said
    if not rest or rest[0].role is not Role.USER:
        return [Message(Role.USER, system.parts, whole=True), *rest]
    first = Message(Role.USER, [*system.parts, *rest[0].parts], rest[0].whole)
    if isinstance(rest[0].parts[0], str):
        first.parts = [f"{system.parts[0]}\n\n{rest[0].parts[0]}", *rest[0].parts[1:]]
    return [first, *rest[1:]]


def as_json(message: Message, url_of: Callable[[Slot], dict[str, str] | str]) -> dict[str, Any]:
    """Convert to the API's form: a string without pictures, else typed parts."""
    if len(message.parts) == 1 and isinstance(message.parts[0], str):
        return {"role": str(message.role), "content": message.parts[0]}
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": url_of(part)}
        for part in message.parts
    ]
    return {"role": str(message.role), "content": parts}


@dataclass(frozen=True)
class _Control:
    """A control token; no text can be one, whatever it says."""

    name: str


def _split(prompt: Prompt) -> Iterator[Message]:
    """Split a prompt into messages of at least one part; the last may not be whole."""
    message: Message | None = None
    text, after_picture = "", False
    for piece in pieces(prompt):
        if isinstance(piece, str):
            text += piece
        elif isinstance(piece, Slot):
            assert message is not None, "a picture stands in a message"
            _add(message, text.removesuffix("\n"), after_picture)
            message.parts.append(piece)
            text, after_picture = "", True
        elif piece.name in tuple(Role):
            message = Message(Role(piece.name))
            text, after_picture = "", False
        elif piece.name == "end":
            assert message is not None, "a message ends that began"
            _add(message, text, after_picture)
            message.parts = message.parts or [""]
            message.whole = True
            yield message
            message = None
    if message is not None:
        _add(message, text, after_picture)
        message.parts = message.parts or [""]
        yield message


def _add(message: Message, text: str, after_picture: bool) -> None:
    """Add text without the template's line break before it."""
    begins = not message.parts and message.role is not Role.ASSISTANT
    if begins or after_picture:
        text = text.removeprefix("\n")
    if text:
        message.parts.append(text)


def pieces(prompt: Prompt) -> Iterator[str | Slot | _Control]:
    """Yield texts, pictures and control tokens in order."""
    for part in prompt.parts:
        if isinstance(part, Slot):
            yield part
            continue
        for name, run in groupby(part, _VOCABULARY.control_name):
            if name is None:
                yield _VOCABULARY.text(tuple(run))
            else:
                yield from (_Control(name) for _ in run)
