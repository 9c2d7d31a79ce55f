"""Chances: how likely the model held each token of a reply, and what else it might have said."""

from __future__ import annotations

from typing import NamedTuple

OTHERS = 3
"""Runners-up that are kept of a token: few of the others are ever worth a look."""


class Chance(NamedTuple):
    """Natural logarithm of a token's probability, and the likeliest other ids with theirs.

    They are of the model's own distribution: before the temperature, filters and penalties. Of a
    server's tokens the texts are known in place of ids; "" is the end of the reply.
    """

    logprob: float
    others: tuple[tuple[int | str, float], ...] = ()


Chances = tuple[Chance | None, ...]
"""One for each id of a reply; None for one that is of the same token as the id before it."""
