"""What the workers tell the chat screen, as facts in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from assistant.conversation import Conversation, PictureFile, SessionSummary


@dataclass
class SessionsListed(Message):
    """The sessions were read from the store."""

    sessions: tuple[SessionSummary, ...]


@dataclass
class SessionOpened(Message):
    """A session was read from the store, when ``turns_ended`` turns were over."""

    conversation: Conversation
    turns_ended: int


@dataclass
class SessionDeleted(Message):
    """A session is gone."""

    session_id: str


@dataclass
class PicturesOpened(Message):
    """Pictures were opened and checked; ``refused`` holds a sentence for each that was not."""

    files: tuple[PictureFile, ...]
    refused: tuple[str, ...]
    requested: int


@dataclass
class RequestRefused(Message):
    """The engine refused; ``reason`` is one plain sentence."""

    reason: str


@dataclass
class ContextMeasured(Message):
    """The model's facts were read: how many tokens prompt and reply may take together."""

    limit: int
