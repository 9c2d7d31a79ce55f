"""Values: what an inspection finds out about a database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concern:
    """A sentence about a database that works, or doesn't, and one that says what to do."""

    what: str
    remedy: str
    is_missing_right: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """``size`` is in bytes, side files included. What could not be found out is None.

    ``problem`` is a sentence where the database can't be used as it is; ``unreadable`` names
    damaged values and references, which everything else works without. ``user`` is the role of
    a server's database, ``concerns`` is what is wrong with its roles, rights and row security.
    ``obstacle`` says why nothing can be written to a file.
    """

    where: str
    exists: bool | None = None
    size: int | None = None
    sessions: int | None = None
    problem: str | None = None
    unreadable: tuple[str, ...] = ()
    user: str | None = None
    concerns: tuple[Concern, ...] = ()
    obstacle: str | None = None
