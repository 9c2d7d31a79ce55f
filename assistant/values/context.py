"""The part of a conversation that the model sees, and what is left out, with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from assistant.values.conversation import Picture, Turn


@dataclass(frozen=True, slots=True)
class Seen:
    """A turn that the model sees.

    ``without`` are positions in ``turn.pictures`` in whose place a marker
    stands: a short text that says that the picture was left out.
    """

    turn: Turn
    without: frozenset[int] = frozenset()


class Why(StrEnum):
    """Reasons for leaving something out."""

    NO_ROOM = "no_room"
    """The oldest no longer fits."""
    EXCLUDED = "excluded"
    """The person took it out, or the question that it answers."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A turn that the model does not see, or one ``picture`` of a turn that it does see.

    ``tokens`` are the positions that this saves.
    """

    turn: Turn
    why: Why
    tokens: int
    picture: Picture | None = None


class ChosenBy(StrEnum):
    """The source of a picture's number of crops."""

    DEFAULT = "default"
    """The model's own number, or the setting."""
    STORED = "stored"
    """The stored number: the user's choice, or the number of its first prompt."""
    ROOM = "room"
    """Fewer than the default, so that the turn leaves room for a conversation."""


@dataclass(frozen=True, slots=True)
class PictureCost:
    """A picture in the prompt.

    ``slot`` counts the pictures of the prompt from 1, in order. ``crops`` is
    (rows, columns); ``tokens`` counts positions.
    """

    picture: Picture
    slot: int
    num_crops: int
    crops: tuple[int, int]
    tokens: int
    chosen_by: ChosenBy


@dataclass(frozen=True, slots=True)
class ContextReport:
    """Use of the model's context; every figure counts positions.

    ``limit`` is the core's capacity, of which ``max_new_tokens`` are kept for the reply; ``used``
    is the prompt. ``until_eviction`` more fit before something is left out (a part of them is
    reserved for a summary, if there is one). ``is_estimate`` marks a server's figures, because
    it counts tokens of its own.
    """

    limit: int
    max_new_tokens: int
    used: int
    system_tokens: int
    summary_tokens: int
    until_eviction: int
    pictures: tuple[PictureCost, ...]
    left_out: tuple[LeftOut, ...]
    is_estimate: bool = False

    @property
    def budget(self) -> int:
        """Positions that the prompt may take."""
        return self.limit - self.max_new_tokens

    @property
    def picture_tokens(self) -> int:
        """Positions taken by pictures."""
        return sum(one.tokens for one in self.pictures)

    @property
    def lowered(self) -> tuple[PictureCost, ...]:
        """Pictures with fewer crops than the default, for lack of room."""
        return tuple(one for one in self.pictures if one.chosen_by is ChosenBy.ROOM)
