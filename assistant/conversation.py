"""The ground floor: plain immutable values that every room may import.

Nothing here knows a model, a database or a terminal, and nothing here imports
any other module of the project.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """Who speaks; the values are the role names of the Phi-3 chat template."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    """The model ended its turn."""
    LENGTH = "length"
    """The token budget of the reply was used up."""
    STOPPED = "stopped"
    """The user pressed stop."""
    INTERRUPTED = "interrupted"
    """The program or the machine died while the reply was being written."""
    ERROR = "error"
    """The model failed in the middle of the reply."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a session.

    ``number`` counts per session in the order of attachment and never changes.
    ``width`` and ``height`` are pixels as a person sees the picture (EXIF
    orientation applied). ``sha256`` names the original bytes, ``pixels_sha256``
    the RGB pixels that the model is shown: two files with the same pixels are
    encoded once.
    """

    number: int
    name: str
    sha256: str
    pixels_sha256: str
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one reply."""

    prompt_tokens: int = 0
    picture_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds and rates of one reply; ``load_s`` is 0 when the model was resident."""

    load_s: float = 0.0
    ttft_s: float = 0.0
    decode_tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    ``token_ids`` are the ids of a reply exactly as the model generated them:
    the truth that is replayed, never re-tokenised text. They are ``None`` for
    turns that no local model wrote. ``finish_reason`` is ``None`` for user
    turns.
    """

    id: str
    parent: str | None
    role: Role
    text: str
    created: datetime
    pictures: tuple[Picture, ...] = ()
    token_ids: tuple[int, ...] | None = None
    finish_reason: FinishReason | None = None
    model: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session's current branch, oldest turn first."""

    id: str
    title: str
    created: datetime
    updated: datetime
    turns: tuple[Turn, ...] = ()
    system: str | None = None
    model: str | None = None
    pinned: bool = False

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every picture of the branch, in the order of its turns."""
        return tuple(picture for turn in self.turns for picture in turn.pictures)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a list of sessions shows about one of them."""

    id: str
    title: str
    created: datetime
    updated: datetime
    turns: int
    pictures: int
    model: str | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture that was opened and checked, and is not yet part of a session.

    ``data`` are the original bytes. :mod:`assistant.pictures` makes these.
    """

    name: str
    data: bytes = field(repr=False)
    sha256: str
    pixels_sha256: str
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person is about to send."""

    text: str
    pictures: tuple[PictureFile, ...] = ()
