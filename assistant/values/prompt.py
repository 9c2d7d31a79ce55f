"""Prompts: runs of token ids and picture slots, and the interfaces of what makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from assistant.values.context import PictureLayout, Seen
from assistant.values.conversation import Picture, Turn


@dataclass(frozen=True, slots=True)
class Slot:
    """A picture's place in a prompt: its pixels, in which detail, and how many positions."""

    pixels_sha256: str
    detail: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """Runs of token ids and picture slots, in order; ids are never negative."""

    parts: tuple[tuple[int, ...] | Slot, ...]

    @property
    def tokens(self) -> int:
        """Length in positions."""
        return sum(p.tokens if isinstance(p, Slot) else len(p) for p in self.parts)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The picture slots, in order of appearance."""
        return tuple(p for p in self.parts if isinstance(p, Slot))

    @property
    def picture_tokens(self) -> int:
        """Positions taken by pictures."""
        return sum(slot.tokens for slot in self.slots)


class TextStream(Protocol):
    """Decoder for ids that arrive one by one; never splits a character."""

    def feed(self, ids: Iterable[int]) -> str:
        """The text that ``ids`` complete; control tokens are left out."""
        ...

    def flush(self) -> str:
        """The rest at the end."""
        ...


class Vocabulary(Protocol):
    """Between text and ids. Control tokens are kept apart: no text can become one."""

    @property
    def is_exact(self) -> bool:
        """Whether the ids are those that the model reads and writes; else counts are estimates."""
        ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end a reply."""
        ...

    def id(self, name: str) -> int:
        """The id of a control token such as ``<|user|>``. Raises KeyError."""
        ...

    def knows(self, ids: Iterable[int]) -> bool:
        """Whether all ids are of this vocabulary: an import may bring any number."""
        ...

    def control_name(self, token: int) -> str | None:
        """The name of a control token, None for a token of text."""
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Text as the characters it is; never a control token, no BOS."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The text of text tokens, all at once."""
        ...

    def stream(self) -> TextStream:
        """A decoder for ids that arrive one by one."""
        ...


def without_end(ids: Iterable[int], vocabulary: Vocabulary) -> list[int]:
    """A reply's ids without the token that ended it."""
    kept = list(ids)
    while kept and kept[-1] in vocabulary.stop_ids:
        kept.pop()
    return kept


class ChatFormat(Protocol):
    """Conversations as one model reads them."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Read when it is needed first. Raises ModelError."""
        ...

    @property
    def openers(self) -> frozenset[str]:
        """Names of the control tokens that begin a message."""
        ...

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
        message. With ``answer`` the prompt ends where the model begins to speak, or goes on after
        the ids of a ``begun`` reply. The positions of turns add up.
        """
        ...


class PictureFormat(Protocol):
    """Pictures as one model takes them."""

    @property
    def details(self) -> Sequence[int]:
        """Details to choose from, the finest first; empty where there is no choice.

        The automatic choice steps down through those below the default.
        """
        ...

    @property
    def part(self) -> str:
        """The noun for what a detail counts."""
        ...

    @property
    def default(self) -> int:
        """The detail of pictures for which none was chosen, 1 at least."""
        ...

    @property
    def largest(self) -> int:
        """The finest detail that memory is planned for: the model's own, or a finer default."""
        ...

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """A picture in ``detail``, or in the next finer one in which it does not vanish.

        Raises ValueError for one too thin to be seen in any.
        """
        ...
