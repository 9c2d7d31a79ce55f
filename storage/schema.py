"""The tables, as typed mappings. The migrations build exactly these (a test compares them).

Conditions of indexes stand here for SQLite only: PostgreSQL's are the same and in the migrations;
naming them here would load that dialect at every start.

Rows have integer keys of their own (full-text search needs stable ones) beside
the short ids that people and scripts see. Foreign keys carry the session along,
so that the database itself refuses a parent, a head or a picture number of
another session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates

from assistant.values.chances import Chances
from assistant.values.conversation import (
    FinishReason,
    Role,
    Summary,
    Thought,
    Timings,
    TurnKind,
    Usage,
)
from assistant.values.origin import Origin
from assistant.values.region import Region
from assistant.values.sampling import Parameters
from storage.column_types import (
    Blob,
    Choice,
    Flag,
    Name,
    TokenChances,
    TokenIds,
    UtcDateTime,
    Value,
    Whole,
    Words,
)
from storage.words import indexed

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables; every constraint has a name, so that a migration can change it."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: UtcDateTime, str: Words, bytes: Blob, bool: Flag}


def _words(column: str) -> Mapped[str | None]:
    """Make a column for the words of the text in another column of the same row."""

    def default(context: Any) -> str | None:  # SQLAlchemy types it too loosely
        return indexed(context.get_current_parameters()[column])

    return mapped_column(Text, deferred=True, default=default, info={"computed": True})


class SessionRow(Base):
    """A session and the turn that its current branch ends with.

    ``deleted`` is the moment at which a person deleted it: until it is purged,
    it is only hidden, so that it can be restored.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["key", "head_key"],
            ["turns.session_key", "turns.key"],
            name="fk_sessions_head",
            use_alter=True,
        ),
        # The order of the list; what is deleted is in neither list nor index.
        Index(
            "ix_sessions_pinned_updated_key",
            "pinned",
            "updated",
            "key",
            sqlite_where=text("deleted IS NULL"),
        ),
        Index(
            "ix_sessions_deleted",
            "deleted",
            sqlite_where=text("deleted IS NOT NULL"),
        ),
    )

    # Said explicitly because the key is part of a foreign key, too.
    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(Name(32), unique=True)
    title: Mapped[str]
    created: Mapped[datetime]
    updated: Mapped[datetime] = mapped_column(index=True)
    model: Mapped[str | None]
    system: Mapped[str | None]
    pinned: Mapped[bool]
    head_key: Mapped[int | None]
    parameters: Mapped[Parameters | None] = mapped_column(Value(Parameters))
    summary: Mapped[Summary | None] = mapped_column(Value(Summary))
    deleted: Mapped[datetime | None]
    title_words: Mapped[str | None] = _words("title")

    @validates("title")
    def _index(self, _key: str, title: str) -> str:
        self.title_words = indexed(title)
        return title


class TurnRow(Base):
    """A turn of the tree. Regenerating and editing add siblings; nothing is overwritten.

    ``depth`` counts from 1 at the first turn, so a branch knows its length
    without being walked. ``writer`` is the lease of the process that is still working on
    the turn (see :mod:`storage.leases`) and is NULL once it is finished.
    """

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("session_key", "key"),
        # No ON DELETE CASCADE here: SQLite follows cascades only 1,000 levels deep,
        # and a session deletes all its turns in one statement anyway.
        ForeignKeyConstraint(
            ["session_key", "parent_key"],
            ["turns.session_key", "turns.key"],
            name="fk_turns_parent",
        ),
        Index("ix_turns_session_key_parent_key", "session_key", "parent_key"),
        Index(
            "ix_turns_writer",
            "writer",
            sqlite_where=text("writer IS NOT NULL"),
        ),
        CheckConstraint("role IN ('system', 'user', 'assistant')", name="role"),
    )

    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(Name(32), unique=True)
    session_key: Mapped[int] = mapped_column(ForeignKey("sessions.key", ondelete="CASCADE"))
    parent_key: Mapped[int | None]
    depth: Mapped[int] = mapped_column(Whole(0))
    role: Mapped[Role] = mapped_column(Choice(Role.USER))
    text: Mapped[str]
    created: Mapped[datetime]
    token_ids: Mapped[tuple[int, ...] | None] = mapped_column(TokenIds)
    finish_reason: Mapped[FinishReason | None] = mapped_column(Choice(FinishReason.INTERRUPTED))
    model: Mapped[str | None]
    usage: Mapped[Usage | None] = mapped_column(Value(Usage))
    timings: Mapped[Timings | None] = mapped_column(Value(Timings))
    writer: Mapped[str | None]
    kind: Mapped[TurnKind] = mapped_column(
        Choice(TurnKind.MESSAGE), default=TurnKind.MESSAGE, server_default="message"
    )
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    excluded: Mapped[bool] = mapped_column(default=False, server_default=false())
    parameters: Mapped[Parameters | None] = mapped_column(Value(Parameters))
    thought: Mapped[Thought | None] = mapped_column(Value(Thought))
    chances: Mapped[Chances | None] = mapped_column(TokenChances, deferred=True)
    words: Mapped[str | None] = _words("text")

    @validates("text")
    def _index(self, _key: str, text: str) -> str:
        self.words = indexed(text)
        return text


class PictureRow(Base):
    """The bytes of a picture, stored once however often it is used."""

    __tablename__ = "pictures"

    key: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(Name(64), unique=True)
    pixels_sha256: Mapped[str] = mapped_column(Name(64))
    media_type: Mapped[str]
    width: Mapped[int] = mapped_column(Whole)
    height: Mapped[int] = mapped_column(Whole)
    look: Mapped[int | None] = mapped_column(BigInteger)
    # Last, so that SQLite reads the other columns without touching the bytes.
    data: Mapped[bytes] = mapped_column(deferred=True)


class ThumbnailRow(Base):
    """A small version of a picture, for lists; in a table of its own, away from the large bytes."""

    __tablename__ = "thumbnails"

    picture_key: Mapped[int] = mapped_column(
        ForeignKey("pictures.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    data: Mapped[bytes]


class SessionPictureRow(Base):
    """A picture's number in its session: given once, in the order of attachment, for ever."""

    __tablename__ = "session_pictures"

    session_key: Mapped[int] = mapped_column(
        ForeignKey("sessions.key", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Whole, primary_key=True)
    picture_key: Mapped[int] = mapped_column(ForeignKey("pictures.key"), index=True)
    name: Mapped[str]
    num_crops: Mapped[int | None] = mapped_column(Whole)
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    region: Mapped[Region | None] = mapped_column(Value(Region))
    origin: Mapped[Origin | None] = mapped_column(Value(Origin))
    name_words: Mapped[str | None] = _words("name")


class TurnPictureRow(Base):
    """A picture that a turn shows, and its place in the order."""

    __tablename__ = "turn_pictures"
    __table_args__ = (
        ForeignKeyConstraint(
            ["session_key", "turn_key"],
            ["turns.session_key", "turns.key"],
            name="fk_turn_pictures_turn",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["session_key", "number"],
            ["session_pictures.session_key", "session_pictures.number"],
            name="fk_turn_pictures_number",
            ondelete="CASCADE",
        ),
        Index("ix_turn_pictures_session_key_number", "session_key", "number"),
        Index("ix_turn_pictures_session_key_turn_key", "session_key", "turn_key"),
    )

    turn_key: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    session_key: Mapped[int]
    number: Mapped[int]


class DraftRow(Base):
    """A message typed into a session and not sent; without a session, for a new one."""

    __tablename__ = "drafts"

    key: Mapped[int] = mapped_column(primary_key=True)
    session_key: Mapped[int | None] = mapped_column(
        ForeignKey("sessions.key", ondelete="CASCADE"), unique=True
    )
    text: Mapped[str]
    updated: Mapped[datetime]


class DraftPictureRow(Base):
    """A picture that a draft shows, and its place in the order."""

    __tablename__ = "draft_pictures"

    draft_key: Mapped[int] = mapped_column(
        ForeignKey("drafts.key", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    picture_key: Mapped[int] = mapped_column(ForeignKey("pictures.key"), index=True)
    name: Mapped[str]
    num_crops: Mapped[int | None] = mapped_column(Whole)
    region: Mapped[Region | None] = mapped_column(Value(Region))
    origin: Mapped[Origin | None] = mapped_column(Value(Origin))


PICTURE_OF_TURN = (TurnPictureRow.session_key == SessionPictureRow.session_key) & (
    TurnPictureRow.number == SessionPictureRow.number
)
"""Joins the pictures of turns to those of sessions."""
