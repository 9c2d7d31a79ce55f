"""Sequences of units: tokens and whole pictures, in the order in which the model reads them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from assistant.values.prompt import Prompt, Slot

Unit = int | Slot
"""One token, or one whole picture: a cached prefix never ends inside a picture."""


class Sequence:
    """Units and where each ends, in positions."""

    def __init__(self, prompt: Prompt) -> None:
        self.chat = prompt.chat
        self.units: list[Unit] = []
        for part in prompt.parts:
            if isinstance(part, Slot):
                self.units.append(part)
            else:
                self.units.extend(part)
        self._ends = list(accumulate(map(_positions, self.units)))

    @property
    def length(self) -> int:
        """Positions in all."""
        return self._ends[-1] if self._ends else 0

    def append(self, token: int) -> None:
        """Add a token at the end."""
        self._ends.append(self.length + 1)
        self.units.append(token)

    def end_of(self, units: int) -> int:
        """Positions taken by the first ``units`` units."""
        return self._ends[units - 1] if units else 0

    def units_within(self, positions: int) -> int:
        """Count the whole units in the first ``positions`` positions."""
        return bisect_right(self._ends, positions)

    def shared_with(self, other: Sequence) -> int:
        """Count the units from the start that are the same in both."""
        mine, theirs = self.units, other.units
        most = min(len(mine), len(theirs))
        low, high = 0, most  # the first ``low`` are the same; slices compare quickly
        while low < high:
            middle = (low + high + 1) // 2
            if mine[low:middle] == theirs[low:middle]:
                low = middle
            else:
                high = middle - 1
        return low


def _positions(unit: Unit) -> int:
    return unit.tokens if isinstance(unit, Slot) else 1
