"""Context use: the turns and pictures that the model sees, those left out, and their costs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from assistant.values.conversation import Picture, Turn


@dataclass(frozen=True, slots=True)
class Seen:
    """A turn that the model sees.

    ``without`` are positions in ``turn.pictures`` that a marker replaces: a short text that says
    that the picture was left out.
    """

    turn: Turn
    without: frozenset[int] = frozenset()


class Why(StrEnum):
    """Reasons for leaving something out."""

    NO_ROOM = "no_room"
    """The oldest no longer fits."""
    EXCLUDED = "excluded"
    """The user took it out, or the question that it answers."""
    NOT_TAKEN = "not_taken"
    """The server takes fewer pictures."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A turn that the model does not see, or one ``picture`` of a turn that it does see.

    ``tokens`` are the positions saved.
    """

    turn: Turn
    why: Why
    tokens: int
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """A picture of one size as a model looks at it.

    ``detail`` is the one in use, ``tokens`` counts positions. The picture is resized to ``size``
    (width, height) at most and cut into ``grid`` (rows, columns); ``views`` run through the vision
    tower. ``part`` is the noun for what ``detail`` counts ("crop"), "" where there is no choice,
    and ``words`` say what is looked at ("2×2 crops and the whole").
    """

    detail: int
    tokens: int
    size: tuple[int, int]
    grid: tuple[int, int] = (1, 1)
    views: int = 1
    part: str = ""
    words: str = ""


class ChosenBy(StrEnum):
    """The origin of a picture's detail."""

    DEFAULT = "default"
    """The model's own detail, or the setting."""
    STORED = "stored"
    """The detail that is stored with the picture: the user's, or the one it was first sent with."""
    ROOM = "room"
    """Less than the default, now, so that the turn leaves space for a conversation."""


@dataclass(frozen=True, slots=True)
class PictureCost:
    """A picture as it stands in the prompt; ``slot`` counts its pictures from 1, in order."""

    picture: Picture
    slot: int
    layout: PictureLayout
    chosen_by: ChosenBy
    in_full: int = 0
    """Tokens in the default detail, where it has less."""

    @property
    def tokens(self) -> int:
        return self.layout.tokens


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
    picture_share: int = 0
    """Positions for the pictures of one message, unless the user chose their detail."""

    @property
    def budget(self) -> int:
        """Positions that the prompt may take."""
        return self.limit - self.max_new_tokens

    @property
    def picture_tokens(self) -> int:
        return sum(one.tokens for one in self.pictures)

    @property
    def lowered(self) -> tuple[PictureCost, ...]:
        """Pictures with less detail than the default, to leave space for a conversation."""
        return tuple(one for one in self.pictures if one.chosen_by is ChosenBy.ROOM)
