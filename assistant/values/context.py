"""What the model is shown of a conversation, what it is not, and why. Plain values."""

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
    """Why something is left out of what the model sees."""

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
    """What decided into how many crops a picture is cut."""

    DEFAULT = "default"
    """The model's own number, or the setting."""
    STORED = "stored"
    """The number that stands with the picture: a person's, or what it was first sent with."""
    ROOM = "room"
    """Fewer than the default, now, so that the turn leaves room for a conversation."""


@dataclass(frozen=True, slots=True)
class PictureCost:
    """A picture as it stands in the prompt.

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
    """How full the model's context is; every figure counts positions.

    ``limit`` is what the core holds, ``max_new_tokens`` is kept of it for the
    reply. ``used`` is the prompt. ``until_eviction`` may still be added before
    something is left out (some of it is set aside for a summary when there is
    one). ``is_estimate`` says that a server answers, which counts in its own way.
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
        """The pictures that got fewer crops than the default for want of room."""
        return tuple(one for one in self.pictures if one.chosen_by is ChosenBy.ROOM)
