"""What the model is given: runs of token ids and picture slots. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


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
