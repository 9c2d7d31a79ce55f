"""Conversations, turns, pictures, drafts, search hits and imports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum

from assistant.values.origin import Origin
from assistant.values.region import Region
from assistant.values.sampling import Parameters

UNREADABLE_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a stored moment that can't be read, in a damaged database."""


class Role(StrEnum):
    """The speaker of a turn; the values are the role names of chat templates."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class FinishReason(StrEnum):
    """The reason for the end of a reply."""

    STOP = "stop"
    """The model ended its turn."""
    LENGTH = "length"
    """The token budget of the reply was used up."""
    STOPPED = "stopped"
    """The user pressed stop."""
    INTERRUPTED = "interrupted"
    """The program or the machine stopped while the reply was being written."""
    ERROR = "error"
    """The model failed in the middle of the reply."""


class TurnKind(StrEnum):
    """Kinds of user turns."""

    MESSAGE = "message"
    RECALL = "recall"
    """Earlier turns quoted by ``/recall``; it has no reply."""


class Parent(Enum):
    """A place in the tree of turns, in place of a parent's id."""

    HEAD = "head"
    """The end of the session's current branch."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a session.

    ``number`` counts per session in the order of attachment and never changes.
    ``width`` and ``height`` are pixels as seen (EXIF orientation applied). ``sha256`` names the
    original bytes, ``pixels_sha256`` the RGB pixels for the model: two files with the same pixels
    are encoded once. ``num_crops`` is the user's limit of crops (None: chosen automatically); a
    ``pinned`` picture is never left out. ``region`` is the part of another picture that it is,
    ``origin`` the page of a document.
    """

    number: int
    name: str
    sha256: str
    pixels_sha256: str
    media_type: str
    width: int
    height: int
    num_crops: int | None = None
    pinned: bool = False
    region: Region | None = None
    origin: Origin | None = None


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
class Thought:
    """Text that a model wrote for itself before a reply; no prompt ever holds it."""

    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    ``token_ids`` are the ids of a reply exactly as generated, which are replayed instead of
    re-tokenised text; a server's stand for the bytes of its text. They are None for turns that no
    model wrote here. ``finish_reason`` is None for user turns, ``parameters`` are those of a
    reply. A ``pinned`` turn is never left out of the prompt, an ``excluded`` one always is.
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
    kind: TurnKind = TurnKind.MESSAGE
    pinned: bool = False
    excluded: bool = False
    parameters: Parameters | None = None
    thought: Thought | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of the turns up to the one with the id ``upto``, by the model or the user.

    It stands in the prompt for the turns that no longer fit. An ``edited`` summary was changed by
    the user, and is not replaced without a question.
    """

    text: str
    upto: str
    edited: bool = False


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
    parameters: Parameters = field(default_factory=Parameters)
    summary: Summary | None = None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for turn in self.turns for picture in turn.pictures)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session in a list of sessions; of a ``damaged`` one something can't be read."""

    id: str
    title: str
    created: datetime
    updated: datetime
    turns: int
    pictures: int
    model: str | None = None
    pinned: bool = False
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text around a match; ``marks`` are the match's [start, end) in ``text``."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()


class FoundIn(StrEnum):
    """The kind of place of a search hit."""

    TURN = "turn"
    TITLE = "title"
    PICTURE = "picture"
    """The name of a picture."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A search hit; a larger ``score`` is a better match.

    ``turn_id`` is None for a title.
    """

    session_id: str
    session_title: str
    turn_id: str | None
    found_in: FoundIn
    snippet: Snippet
    score: float
    created: datetime
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture that was opened and checked, and is not yet part of a session.

    ``data`` are the original bytes. :mod:`assistant.pictures` makes these. ``num_crops`` is the
    user's choice, None leaves it to the engine. ``thumbnail`` is a small JPEG of the picture,
    ``notice`` a sentence about what is missing of it, ``region`` the part of another picture that
    it is, ``origin`` the page of a document.
    """

    name: str
    data: bytes = field(repr=False)
    sha256: str
    pixels_sha256: str
    media_type: str
    width: int
    height: int
    num_crops: int | None = None
    thumbnail: bytes | None = field(default=None, repr=False)
    notice: str = ""
    region: Region | None = None
    origin: Origin | None = None
    look: int | None = None
    """A hash of 64 bits that changes little when the picture does; None where it is not known."""

    def numbered(self, number: int) -> Picture:
        """Return the picture as it will stand in a session, under this number."""
        return Picture(
            number=number,
            name=self.name,
            sha256=self.sha256,
            pixels_sha256=self.pixels_sha256,
            media_type=self.media_type,
            width=self.width,
            height=self.height,
            num_crops=self.num_crops,
            region=self.region,
            origin=self.origin,
        )


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture where it was attached: the chat, the message, and a reply to it."""

    picture: Picture
    session_id: str
    session_title: str
    turn_id: str
    text: str
    reply: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it is sent."""

    text: str
    pictures: tuple[PictureFile, ...] = ()


class ExportFormat(StrEnum):
    """Formats of exports; the values are suffixes of files."""

    JSON = "json"
    """Lossless; can be imported."""
    MARKDOWN = "md"
    HTML = "html"


class Outcome(StrEnum):
    """The result of importing a session."""

    NEW = "new"
    COPY = "copy"
    """The session was stored already and was added once more, under new ids."""
    EXTENDED = "extended"
    """The session was stored already and gained turns."""
    UNCHANGED = "unchanged"
    """The session was stored already, with the same content."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One imported session, under its id in this database."""

    id: str
    title: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import; ``left_out`` are sentences about skipped parts."""

    sessions: tuple[Arrival, ...]
    left_out: tuple[str, ...] = ()
