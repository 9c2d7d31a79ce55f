"""What the workers tell the chat screen, as facts in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from assistant.values.context import PictureCost
from assistant.values.conversation import Conversation, Draft, PictureFile, SessionSummary, Summary
from tui.widgets.completion import KnownPicture


@dataclass
class SessionsListed(Message):
    """The sessions were read from the store; ``reading`` counts how often they were."""

    reading: int
    sessions: tuple[SessionSummary, ...]


@dataclass
class SessionOpened(Message):
    """A session was read from the store, when ``turns_ended`` turns were over."""

    conversation: Conversation
    turns_ended: int
    turn_id: str | None = None
    """The turn to go to."""


@dataclass
class SessionDeleted(Message):
    """A session is gone; ``title`` is what it was called, "" where another terminal did it."""

    session_id: str
    title: str = ""


@dataclass
class SessionRestored(Message):
    """A session that was deleted is back."""

    session_id: str
    reopen: bool
    """It was the open one."""


@dataclass
class SessionForked(Message):
    """A session was made from another, up to one of its turns or its end."""

    session_id: str


@dataclass
class DraftMeasured(Message):
    """What the attached ``files`` cost, and the ``numbers`` that they will get.

    ``pictures`` are all that a text can refer to, the attached ones last.
    ``summary`` is what the model is told of the turns above ``below_summary``.
    """

    session_id: str | None
    files: tuple[PictureFile, ...]
    numbers: tuple[int, ...]
    costs: tuple[PictureCost, ...]
    pictures: tuple[KnownPicture, ...]
    summary: str = ""
    below_summary: str | None = None


@dataclass
class DraftRead(Message):
    """What was typed and not sent in a session was read from the store."""

    session_id: str | None
    draft: Draft | None


@dataclass
class DraftSaved(Message):
    """A draft was saved; ``before`` and ``after`` are the store's states."""

    before: str
    after: str


@dataclass
class SessionRead(Message):
    """The open session was looked at; ``conversation`` is None where it is as it was.

    ``changes`` is the store's state, ``select`` the turn to select. What was looked at is the
    branch that ended with the turn ``end``; None: show it whatever is shown now.
    """

    conversation: Conversation | None
    changes: str
    turns_ended: int
    end: str | None = None
    select: str | None = None


@dataclass
class VersionsCounted(Message):
    """Of these turns it is known which version of how many they are."""

    versions: dict[str, tuple[int, int]]


@dataclass
class TurnMarked(Message):
    """Something was stored about the open chat; ``words`` tell what, where one can't see it."""

    words: str = ""


@dataclass
class SummaryRead(Message):
    """The summary of a session was read."""

    session_id: str
    summary: Summary | None


@dataclass
class SystemRead(Message):
    """What the model is told before a session was read."""

    session_id: str
    text: str


@dataclass
class EditBegun(Message):
    """A stored message was read, to be changed and sent again."""

    session_id: str
    turn_id: str
    draft: Draft


@dataclass
class Told(Message):
    """A thread has something to say that is no error."""

    words: str


@dataclass
class RequestRefused(Message):
    """The engine refused; ``reason`` is one plain sentence."""

    reason: str
