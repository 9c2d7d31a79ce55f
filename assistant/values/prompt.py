"""What the model is given: runs of token ids and picture slots, and what ids stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Slot:
    """A picture's place in a prompt: which pixels, at most how many crops, how many positions."""

    pixels_sha256: str
    num_crops: int
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
    """Ids that arrive one by one as text; never splits a character."""

    def feed(self, ids: Iterable[int]) -> str:
        """The text that ``ids`` complete; control tokens are left out."""
        ...

    def flush(self) -> str:
        """What is left at the end."""
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
        """What tokens of text say, all at once."""
        ...

    def stream(self) -> TextStream:
        """A decoder for ids that arrive one by one."""
        ...
