"""Prompts (runs of token ids and picture slots), and the interfaces that produce them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

from assistant.values.context import PictureLayout, Seen
from assistant.values.conversation import Picture, Turn


@dataclass(frozen=True, slots=True)
class Slot:
    """A picture's place in a prompt: its pixels, its detail and its number of positions."""

    pixels_sha256: str
    detail: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """Runs of token ids and picture slots, in order; ids are never negative.

    The last ``begun`` ids are the beginning of the reply that goes on.
    """

    parts: tuple[tuple[int, ...] | Slot, ...]
    begun: int = 0
    chat: str = field(default="", compare=False)
    """The session that it is of: what a model keeps of a prompt goes with it."""

    @property
    def tokens(self) -> int:
        """Length in positions."""
        return sum(p.tokens if isinstance(p, Slot) else len(p) for p in self.parts)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(p for p in self.parts if isinstance(p, Slot))

    @property
    def picture_tokens(self) -> int:
        return sum(slot.tokens for slot in self.slots)

    @property
    def begun_ids(self) -> tuple[int, ...]:
        """The ids of the reply that goes on."""
        last = self.parts[-1] if self.begun else ()
        return last[len(last) - self.begun :] if isinstance(last, tuple) else ()


def common_start(one: Prompt, other: Prompt) -> Prompt:
    """Return the beginning that two prompts of one layout share."""
    parts: list[tuple[int, ...] | Slot] = []
    for mine, theirs in zip(one.parts, other.parts, strict=False):
        if mine == theirs:
            parts.append(mine)
            continue
        if not (isinstance(mine, Slot) or isinstance(theirs, Slot)):
            pairs = zip(mine, theirs, strict=False)
            same = tuple(token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            parts += [same] if same else []
        break
    return Prompt(tuple(parts))


class TextStream(Protocol):
    """Decoder for ids that arrive one by one; never splits a character."""

    def feed(self, ids: Iterable[int]) -> str:
        """Return the text that ``ids`` complete; control tokens are left out."""

    def flush(self) -> str:
        """Return the rest at the end: an unfinished character, as U+FFFD."""


class Vocabulary(Protocol):
    """A tokenizer. Control tokens are kept apart: no text can become one."""

    @property
    def is_exact(self) -> bool:
        """Whether ids are those that the model reads and writes."""

    @property
    def counts_exactly(self) -> bool:
        """Whether a text has as many ids as the model has tokens for it; else it is estimated."""

    @property
    def revision(self) -> int:
        """A number that is another one once texts have other numbers of ids than before."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end a reply."""

    def id(self, name: str) -> int:
        """Return the id of a control token such as ``<|user|>``. Raises KeyError."""

    def knows(self, ids: Iterable[int]) -> bool:
        """Check that all ids are of this vocabulary, because an import may bring any number."""

    def control_name(self, token: int) -> str | None:
        """Return the name of a control token, None for a token of text."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokenize text as plain characters: no control tokens, no BOS."""

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer.json that ids are of; "" where there is none."""

    def text(self, ids: Sequence[int]) -> str:
        """Decode text tokens, all at once."""

    def stream(self) -> TextStream:
        """Return a decoder for ids that arrive one by one."""


def without_end(ids: Iterable[int], vocabulary: Vocabulary) -> list[int]:
    """Return a reply's ids without the stop tokens at its end."""
    kept = list(ids)
    while kept and kept[-1] in vocabulary.stop_ids:
        kept.pop()
    return kept


LONGEST_TOKEN = 64
"""Characters of the longest token: a reply's text may end within the one after its last id."""


def are_ids_of(ids: Sequence[int], text: str, vocabulary: Vocabulary) -> bool:
    """Check that a reply's stored ids say what its text says, because an import may bring any ids.

    They are all of the vocabulary, hold no control token but a stop token at the end, and decode to
    ``text``. A reply that was cut ends within a character (U+FFFD in its text) or, at a stop
    string, within the token after the last of its ids.
    """
    if ids and ids[-1] in vocabulary.stop_ids:
        ids = ids[:-1]
    if not vocabulary.knows(ids) or any(map(vocabulary.control_name, ids)):
        return False
    stream = vocabulary.stream()
    said = stream.feed(ids)
    rest = text[len(said) :]
    return text.startswith(said) and (len(rest) < LONGEST_TOKEN or rest == stream.flush())


class ChatFormat(Protocol):
    """The chat template of one model."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer, read on first use. Raises ModelError."""

    @property
    def openers(self) -> frozenset[str]:
        """Names of the control tokens that begin a message."""

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
        """Lay out ``turns`` (oldest first) for the model.

        A reply's stored ids are replayed as they were generated; one without ids (written
        elsewhere) is tokenized from its text. ``summary`` follows the system message as a user
        message. With ``answer`` the prompt ends with the opening of a reply, and the ids of a
        ``begun`` one. The positions of turns add up.
        """


class PictureFormat(Protocol):
    """The picture details of one model, and their cost."""

    @property
    def details(self) -> Sequence[int]:
        """Details to choose from, the finest first; empty where there is no choice.

        The automatic choice steps down through those below the default.
        """

    @property
    def part(self) -> str:
        """The noun for what a detail counts."""

    @property
    def default(self) -> int:
        """The detail of pictures for which none was chosen, 1 at least."""

    @property
    def largest(self) -> int:
        """The finest detail that memory is planned for: the model's own, or a finer default."""

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Lay out a picture in ``detail``, or in the next finer one in which it does not vanish.

        Raises ValueError for a picture that is too thin for every detail.
        """
