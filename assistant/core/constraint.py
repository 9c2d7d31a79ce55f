"""Interface of a constraint: which ids may come next in a reply. Ids only, no tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Constraint(Protocol):
    """State of one reply that obeys a schema; it begins before the reply's first id."""

    def allowed(self) -> torch.Tensor:
        """Return a mask [vocab], on the CPU, of the ids that may come next; one at least.

        Raises ModelError where the schema got too complex to be followed.
        """

    def allows(self, token: int) -> bool:
        """Say whether :meth:`allowed` has this id, at less cost than the whole mask."""

    def forced(self) -> Sequence[int]:
        """Return a likely spelling of the text that must come next; often none."""

    def count_allowed(self, ids: Sequence[int]) -> int:
        """Count the ids, from the first on, that may come one after the other.

        It may count ids that :meth:`allowed` leaves out: only the mask chooses.
        """

    def take(self, token: int) -> None:
        """Go on after an allowed id."""


MakeConstraint = Callable[[str, Sequence[int]], Constraint]
"""Maker of the constraint of a schema, for a reply that begins with these ids. Raises ModelError:
the schema can't be obeyed, or the beginning does not obey it."""
