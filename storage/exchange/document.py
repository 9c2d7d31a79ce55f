"""Format of a JSON export, version 1: every field with its type and range.

A file is validated against this before anything of it is stored: types, ranges, and that every id,
parent and picture that it names is there. Texts are changed as the database changes them
(:func:`storage.ids.storable`).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from assistant.values.chances import OTHERS
from assistant.values.conversation import FinishReason, Role, TurnKind
from assistant.values.errors import StorageError
from assistant.values.sampling import LATER, PARAMETERS, Parameters
from assistant.values.setting import Setting
from assistant.values.text import one_line
from storage.ids import ALPHABET, storable
from storage.rows import columns
from storage.schema import Base

VERSION = 1

_V = TypeVar("_V", int, str)


def in_utc(moment: datetime) -> datetime:
    """Convert a moment to UTC. Raises ValueError for a year that some time zone has no date in."""
    if not 1 < moment.year < 9999:
        raise ValueError("is a moment that not every calendar has")
    return moment.astimezone(UTC)


Id = Annotated[str, StringConstraints(pattern=f"^[{ALPHABET}]{{4,32}}$")]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Words = Annotated[str, AfterValidator(storable)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
Positive = Annotated[int, Field(ge=1, lt=1 << 31)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]
"""Of a picture; the index of the search has 20 bits for it (see :file:`m0003_search.py`)."""
Count = Annotated[int, Field(ge=0, lt=1 << 31)]
Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 32)]
Logprob = Annotated[float, Field(ge=-1e30, le=1.0)]
"""A logarithm that 32 bits hold; a sum that is rounded may be a little more than none."""
TokenText = Annotated[str, Field(max_length=255)]
ChancePart = (
    tuple[
        Logprob,
        Annotated[tuple[tuple[TokenId | TokenText, Logprob], ...], Field(max_length=OTHERS)],
    ]
    | None
)
"""A token's log-probability, and its runners-up with theirs; a server's are texts.

None stands for an id that is of the same token as the one before."""


_LATER = LATER | {"thought", "region", "origin", "chances"}
"""Fields that the first exports lack; they are written only where they hold something."""


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, from_attributes=True)

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = write(self)
        return {name: one for name, one in found.items() if one is not None or name not in _LATER}

    @classmethod
    def of(cls, source: object, **others: object) -> Self:
        """Make a part of the attributes that a value or a row has under the same names."""
        names = [name for name in cls.model_fields if name not in others]
        given = {name: getattr(source, name) for name in names} | others
        if isinstance(parameters := given.get("parameters"), Parameters):
            given["parameters"] = ParametersPart(**parameters.table())
        return cls(**given)

    def columns(self, table: type[Base]) -> dict[str, Any]:
        """Return the fields that are columns of a table."""
        names = columns(table)
        return {name: getattr(self, name) for name in type(self).model_fields if name in names}


def _parameter_type(one: Setting) -> Any:
    """Return a sampling parameter's type in a document: any value that a database may hold."""
    if one.choices:
        return Literal[one.choices] | None
    if str in one.kinds:
        return Words | None
    if one.number is None:
        return tuple[Words, ...] | None
    if one.number is float:
        return Figure | None
    return Annotated[int, Field(ge=0, le=max(one.highest or 0, (1 << 31) - 1))] | None


class UsagePart(Part):
    prompt_tokens: Count
    picture_tokens: Count
    cached_tokens: Count
    completion_tokens: Count


class TimingsPart(Part):
    load_s: FiniteFloat
    ttft_s: FiniteFloat
    decode_tokens_per_s: FiniteFloat


with warnings.catch_warnings():
    # a parameter is called as pydantic's old name of model_json_schema, which nothing here calls
    warnings.simplefilter("ignore", UserWarning)

    class ParametersPart(Part):
        """Every sampling parameter by its name; None where the settings gave the value."""

        # One field each, from their table. An export from before a parameter was added lacks it.
        __annotations__ = {name: _parameter_type(one) for name, one in PARAMETERS.items()}
        locals().update(dict.fromkeys(PARAMETERS))


class SummaryPart(Part):
    text: Words
    upto: Id
    edited: bool


class ThoughtPart(Part):
    text: Words
    seconds: Figure


class TurnPart(Part):
    """A turn; ``parent`` comes before it in the file, ``pictures`` are numbers in the session."""

    id: Id
    parent: Id | None
    role: Role
    kind: TurnKind
    text: Words
    created: Moment
    pinned: bool
    excluded: bool
    pictures: tuple[Number, ...]
    token_ids: tuple[TokenId, ...] | None
    finish_reason: FinishReason | None
    model: Words | None
    usage: UsagePart | None
    timings: TimingsPart | None
    parameters: ParametersPart | None
    thought: ThoughtPart | None = None
    """An export from before models thought lacks it."""
    chances: tuple[ChancePart, ...] | None = None
    """Of ``token_ids``. An export from before they were kept lacks them."""

    @field_validator("finish_reason")
    @classmethod
    def _has_ended(cls, reason: FinishReason | None, info: ValidationInfo) -> FinishReason | None:
        """End a reply that was being written when the file was."""
        is_reply = info.data.get("role") is Role.ASSISTANT
        return FinishReason.INTERRUPTED if is_reply and reason is None else reason


class RegionPart(Part):
    """The part of another picture that a picture is; ``number`` is that one's, 0 for none."""

    sha256: Sha256
    left: Count
    top: Count
    width: Positive
    height: Positive
    number: Annotated[int, Field(ge=0, le=1_000_000)]


class OriginPart(Part):
    """The page of a document that a picture is, or its moment of a film (page 0)."""

    sha256: Sha256
    name: Words
    page: Count
    seconds: Figure


class DraftPicturePart(Part):
    name: Words
    sha256: Sha256
    num_crops: Positive | None
    region: RegionPart | None = None
    """Exports lack it from before there were parts of pictures, and ``origin`` from before
    documents."""
    origin: OriginPart | None = None


class DraftPart(Part):
    """A message typed and not sent."""

    text: Words
    updated: Moment
    pictures: tuple[DraftPicturePart, ...]


class SessionPicturePart(Part):
    """A picture's number in its session; ``sha256`` names its bytes."""

    number: Number
    name: Words
    sha256: Sha256
    num_crops: Positive | None
    pinned: bool
    region: RegionPart | None = None
    origin: OriginPart | None = None


class SessionPart(Part):
    id: Id
    title: Words
    created: Moment
    updated: Moment
    model: Words | None
    system: Words | None
    pinned: bool
    parameters: ParametersPart
    summary: SummaryPart | None
    draft: DraftPart | None
    head: Id | None
    pictures: tuple[SessionPicturePart, ...]
    turns: tuple[TurnPart, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        numbers = _all_different((p.number for p in self.pictures), "picture number")
        by_number = {0: None} | {picture.number: picture.sha256 for picture in self.pictures}
        for region in filter(None, (picture.region for picture in self.pictures)):
            if by_number.get(region.number, "") not in (None, region.sha256):
                raise ValueError("a picture is part of one that is not there")
        before: set[str] = set()
        for turn in self.turns:
            if turn.parent is not None and turn.parent not in before:
                raise ValueError(f"turn {turn.id} follows a turn that does not come before it")
            if turn.id in before:
                raise ValueError(f"turn {turn.id} is there twice")
            if not numbers.issuperset(turn.pictures):
                raise ValueError(f"turn {turn.id} shows a picture that is not there")
            before.add(turn.id)
        if self.head is not None and self.head not in before:
            raise ValueError("the end of the current branch is not there")
        if self.summary is not None and self.summary.upto not in before:
            raise ValueError("the summary ends with a turn that is not there")
        return self

    @property
    def sha256s(self) -> set[str]:
        """Hashes of the pictures that the session and its draft show."""
        drafted = () if self.draft is None else self.draft.pictures
        return {one.sha256 for one in self.pictures} | {one.sha256 for one in drafted}


class PicturePart(Part):
    """The original bytes of a picture, once however often it is shown."""

    sha256: Sha256
    pixels_sha256: Sha256
    media_type: Annotated[str, StringConstraints(pattern=r"^image/[a-z0-9.+-]{1,40}$")]
    width: Positive
    height: Positive
    data: Base64Bytes

    @model_validator(mode="after")
    def _is_itself(self) -> Self:
        if hashlib.sha256(self.data).hexdigest() != self.sha256:
            raise ValueError("the picture's bytes are not those that its sha256 names")
        return self


class Document(Part):
    """One file. ``phichat`` is the version of the format."""

    phichat: Literal[1]
    sessions: tuple[SessionPart, ...]
    pictures: tuple[PicturePart, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        _all_different((session.id for session in self.sessions), "session")
        _all_different((turn.id for session in self.sessions for turn in session.turns), "turn")
        there = _all_different((picture.sha256 for picture in self.pictures), "picture")
        for session in self.sessions:
            for sha256 in session.sha256s - there:
                raise ValueError(f"the bytes of picture {sha256} are not there")
        return self


def parse(data: bytes, name: str) -> Document:
    """Validate the content of a file called ``name``. Raises StorageError, one sentence."""
    try:
        return Document.model_validate_json(data)
    except ValidationError as error:
        is_object = data.lstrip()[:1] in (b"{", b"")  # an empty one may be half a file
        words = _sentence(error, one_line(name, 80), is_object=is_object)
        raise StorageError(words, code="import") from None


def _all_different(values: Iterable[_V], what: str) -> set[_V]:
    seen: set[_V] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is there twice")
        seen.add(value)
    return seen


def _sentence(error: ValidationError, name: str, *, is_object: bool) -> str:
    found = error.errors(include_url=False)
    by_place = {one["loc"]: one for one in found}
    no_export = f"{name} is not a phichat export; give a file made by: phichat sessions export."
    if found[0]["type"] == "json_invalid":
        if not is_object:
            return no_export
        return f"{name} is damaged or incomplete (it is not valid JSON); get another copy of it."
    version = by_place.get(("phichat",))
    if found[0]["type"] == "model_type" or (version is not None and version["type"] == "missing"):
        return no_export
    if version is not None and isinstance(version["input"], int) and version["input"] > VERSION:
        return f"{name} was written by a newer phichat; update phichat, then import it again."
    first = found[0]
    place = one_line("".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]), 80)
    reason = one_line(first["msg"].removeprefix("Value error, "), 160)
    return (
        f"{name} was changed or damaged, so nothing of it was imported "
        f"({place.lstrip('.') or 'the file'}: {reason}); export it again."
    )
