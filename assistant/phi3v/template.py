"""A conversation -> the Phi-3 prompt: token ids and numbered picture slots.

The ids are exactly those of the reference processor for the same conversation
(its chat template, tokenized with ``<|image_k|>`` tags), with one difference:
text is text, so what a user types never becomes a control token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from assistant.values.context import Seen
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Prompt, Slot, Vocabulary

# Unicode White_Space, which the tokenizer strips after <|assistant|> (its rstrip flag). Python's
# str.lstrip() would take the separators U+001C..U+001F too.
_WHITESPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


PICTURE_LEFT_OUT = "[picture {number} was left out]"
"""What stands in the place of a picture that no longer fits."""

SUMMARY = "This is what we said before, in short:\n{text}"
"""The user message, ahead of the turns that are left, in place of those that no longer fit."""


class _Writer:
    """Collects control ids, text and slots; adjacent text is tokenized as one segment."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._parts: list[tuple[int, ...] | Slot] = []
        self._run: list[int] = [vocabulary.id("<s>")]
        self._text = ""

    def control(self, name: str) -> None:
        self._settle()
        self._run.append(self._vocabulary.id(name))

    def text(self, text: str) -> None:
        self._text += text

    def ids(self, ids: Iterable[int]) -> None:
        self._settle()
        self._run.extend(ids)

    def slot(self, slot: Slot) -> None:
        """The reference tokenizes the text after a picture on its own: it begins with BOS."""
        self._settle()
        self._parts += [tuple(self._run), slot]
        self._run = [self._vocabulary.id("<s>")]

    def finish(self) -> Prompt:
        self._settle()
        return Prompt((*self._parts, tuple(self._run)))

    def _settle(self) -> None:
        if self._text:
            self._run.extend(self._vocabulary.encode(self._text))
            self._text = ""


def render(
    turns: Iterable[Turn | Seen],
    vocabulary: Vocabulary,
    slot_of: Callable[[Picture], Slot],
    *,
    system: str | None = None,
    summary: str | None = None,
    answer: bool = True,
    begun: Iterable[int] = (),
) -> Prompt:
    """Lay out ``turns`` (oldest first) for the model.

    Pictures stand before the text of their turn, numbered by position; a
    marker is text in a picture's place and has no number. ``summary`` follows
    the system message as a user message. A reply's stored ids are replayed as
    they were generated; a reply without ids (written elsewhere) is tokenized
    from its text. With ``answer`` the prompt ends where the model begins to
    speak, or goes on after the ids of a ``begun`` reply.
    """
    writer = _Writer(vocabulary)
    if system:
        _message(writer, Role.SYSTEM, system)
    if summary:
        _message(writer, Role.USER, SUMMARY.format(text=summary))
    for one in turns:
        seen = one if isinstance(one, Seen) else Seen(one)
        if seen.turn.role is Role.ASSISTANT:
            _reply(writer, seen.turn, vocabulary)
        else:
            _message(writer, seen.turn.role, seen.turn.text, _pictures(seen, slot_of))
    if answer:
        writer.control("<|assistant|>")
        writer.ids(without_end(begun, vocabulary))
    return writer.finish()


def without_end(ids: Iterable[int], vocabulary: Vocabulary) -> list[int]:
    """A reply's ids without the token that ended it."""
    kept = list(ids)
    while kept and kept[-1] in vocabulary.stop_ids:
        kept.pop()
    return kept


def _pictures(seen: Seen, slot_of: Callable[[Picture], Slot]) -> Iterator[Slot | str]:
    for position, picture in enumerate(seen.turn.pictures):
        if position in seen.without:
            yield PICTURE_LEFT_OUT.format(number=picture.number)
        else:
            yield slot_of(picture)


def _message(writer: _Writer, role: Role, text: str, pictures: Iterable[Slot | str] = ()) -> None:
    writer.control(f"<|{role}|>")
    writer.text("\n")
    for picture in pictures:
        if isinstance(picture, Slot):
            writer.slot(picture)
        else:
            writer.text(picture)
        writer.text("\n")
    writer.text(text)
    writer.control("<|end|>")
    writer.text("\n")


def _reply(writer: _Writer, turn: Turn, vocabulary: Vocabulary) -> None:
    writer.control("<|assistant|>")
    if turn.token_ids is None:
        writer.text(turn.text.lstrip(_WHITESPACE))
    else:
        writer.ids(without_end(turn.token_ids, vocabulary))
    writer.control("<|end|>")
    writer.text("\n")
