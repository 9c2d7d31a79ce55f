"""Chat templates: conversations to token ids and picture slots, by the control tokens of a family.

Text is text: what a user types never becomes a control token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from assistant.values.context import Seen
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Prompt, Slot, Vocabulary, without_end

PICTURE_LEFT_OUT = "[picture {number} was left out]"
"""Text that replaces a picture that no longer fits."""

SUMMARY = "This is what we said before, in short:\n{text}"
"""User message that replaces the turns that no longer fit, ahead of the others."""

WHITESPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode White_Space. Python's str.lstrip() would take the separators U+001C..U+001F too."""


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """Control tokens, by name, and text around the parts of a prompt; "" for none.

    Each message begins with the control token and the text of its role in ``opening`` and ends
    with those of ``closing``. ``start`` stands once before everything. Pictures come before the
    text of their message, between the control tokens ``before_picture`` and ``after_picture``;
    after each, ``picture_end`` is text. ``reply_strips`` are characters that the tokenizer strips
    at the beginning of a reply.
    """

    opening: Mapping[Role, tuple[str, str]]
    closing: tuple[str, str]
    start: str = ""
    before_picture: str = ""
    after_picture: str = ""
    picture_end: str = "\n"
    reply_strips: str = ""


class ChatTemplate:
    """A :class:`assistant.values.prompt.ChatFormat` of one style and one vocabulary."""

    def __init__(self, style: ChatStyle, read_vocabulary: Callable[[], Vocabulary]) -> None:
        self._style = style
        self._read_vocabulary = read_vocabulary
        self.openers = frozenset(control for control, _ in style.opening.values())

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer, read on first use. Raises ModelError."""
        return self._read_vocabulary()

    def render(
        self,
        turns: Iterable[Turn | Seen],
        slot_of: Callable[[Picture], Slot],
        *,
        system: str | None = None,
        summary: str | None = None,
        answer: bool = True,
        begun: Iterable[int] = (),
    ) -> Prompt:
        """See :meth:`assistant.values.prompt.ChatFormat.render`."""
        writer = _Writer(self._style, self.vocabulary)
        if system:
            writer.message(Role.SYSTEM, system)
        if summary:
            writer.message(Role.USER, SUMMARY.format(text=summary))
        for turn in turns:
            seen = turn if isinstance(turn, Seen) else Seen(turn)
            if seen.turn.role is Role.ASSISTANT:
                writer.reply(seen.turn)
            else:
                writer.message(seen.turn.role, seen.turn.text, _pictures(seen, slot_of))
        if answer:
            writer.begin(Role.ASSISTANT)
            writer.begun = writer.ids(without_end(begun, self.vocabulary))
        return writer.finish()


def _pictures(seen: Seen, slot_of: Callable[[Picture], Slot]) -> Iterator[Slot | str]:
    """Yield a slot or a marker's text for each picture of a turn."""
    for position, picture in enumerate(seen.turn.pictures):
        if position in seen.without:
            yield PICTURE_LEFT_OUT.format(number=picture.number)
        else:
            yield slot_of(picture)


class _Writer:
    """Buffer of control ids, text and slots; adjacent text is tokenized as one segment."""

    def __init__(self, style: ChatStyle, vocabulary: Vocabulary) -> None:
        self._style, self._vocabulary = style, vocabulary
        self._parts: list[tuple[int, ...] | Slot] = []
        self._run: list[int] = []
        self._text = ""
        self.begun = 0
        """Ids at the end that begin the reply."""
        self._control(style.start)

    def begin(self, role: Role) -> None:
        control, text = self._style.opening[role]
        self._control(control)
        self._text += text

    def message(self, role: Role, text: str, pictures: Iterable[Slot | str] = ()) -> None:
        self.begin(role)
        for picture in pictures:
            if isinstance(picture, Slot):
                self._control(self._style.before_picture)
                self._slot(picture)
                self._control(self._style.after_picture)
            else:
                self._text += picture
            self._text += self._style.picture_end
        self._text += text
        self._end()

    def reply(self, turn: Turn) -> None:
        self.begin(Role.ASSISTANT)
        if turn.token_ids is None:
            self._text += turn.text.lstrip(self._style.reply_strips)
        else:
            self.ids(without_end(turn.token_ids, self._vocabulary))
        self._end()

    def ids(self, ids: Sequence[int]) -> int:
        """Add ids; returns how many they are."""
        self._settle()
        self._run.extend(ids)
        return len(ids)

    def finish(self) -> Prompt:
        self._settle()
        runs = (*self._parts, tuple(self._run))
        return Prompt(tuple(part for part in runs if part), self.begun)

    def _end(self) -> None:
        control, text = self._style.closing
        self._control(control)
        self._text += text

    def _control(self, name: str) -> None:
        self._settle()
        if name:
            self._run.append(self._vocabulary.id(name))

    def _slot(self, slot: Slot) -> None:
        self._settle()
        self._parts += [tuple(self._run), slot]
        self._run = []

    def _settle(self) -> None:
        """Tokenize the text so far."""
        if self._text:
            self._run.extend(self._vocabulary.encode(self._text))
            self._text = ""
