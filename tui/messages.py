"""Messages of the app: facts that threads and parts of the chat screen post, in the past tense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.message import Message

from assistant.values.context import PictureCost
from assistant.values.conversation import (
    Conversation,
    Draft,
    PictureFile,
    SessionSummary,
    ShownPicture,
)
from assistant.values.events import Event, ModelStatus
from tui.widgets.choices import Offer
from tui.widgets.completion import KnownPicture
from tui.widgets.context_meter import Measured
from tui.widgets.notice_line import Notice


@dataclass
class NoticeGiven(Message):
    """There is a notice for the user, who is shown it on whatever page is on top."""

    notice: Notice


@dataclass
class TmuxAnswered(Message):
    """tmux said which terminals are attached."""

    answer: str


@dataclass
class SessionsChanged(Message):
    """Something of the list of chats was stored."""


@dataclass
class SessionsListed(Message):
    """The sessions were read from the store; ``reading`` counts the readings."""

    reading: int
    sessions: tuple[SessionSummary, ...]


@dataclass
class SessionChosen(Message):
    """The user chose a chat to be opened, where it was left or at a turn."""

    session_id: str
    turn_id: str | None = None


@dataclass
class PictureReused(Message):
    """The user wants a picture that was shown before in the message that is written now."""

    shown: ShownPicture


@dataclass
class NewWanted(Message):
    """The user wants an empty chat."""


@dataclass
class ListLeft(Message):
    """The user goes back from the list of chats to the text."""


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

    deleted: SessionDeleted
    reopen: bool
    """It was the open one."""


@dataclass
class SessionForked(Message):
    """A session was made from another, up to one of its turns or its end."""

    session_id: str


@dataclass
class SessionRead(Message):
    """The open session was looked at; ``conversation`` is None if it has not changed.

    ``changes`` is the store's state, ``select`` the turn to select. The branch that was read
    ended with the turn ``end``; None: show it whatever is shown now.
    """

    conversation: Conversation | None
    changes: str
    turns_ended: int
    end: str | None = None
    select: str | None = None


@dataclass
class TurnMarked(Message):
    """Something was stored about the open chat; ``words`` say so where the screen does not."""

    words: str = ""


@dataclass
class DraftMeasured(Message):
    """The attached ``files`` were counted: their ``costs``, and the ``numbers`` they will get.

    ``pictures`` are all that a text can refer to, the attached ones last.
    ``summary`` stands for the turns above ``below_summary``.
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
    """The stored draft of a session was read from the store."""

    session_id: str | None
    draft: Draft | None


@dataclass
class DraftGone(Message):
    """The draft of a session is no longer stored, though this terminal did not send it."""

    session_id: str | None
    draft: Draft
    """As it stood there, and as it was typed here when it was looked at."""
    is_sent: bool
    """Another terminal has sent these words; else it sent others."""


@dataclass
class DraftSaved(Message):
    """A draft was saved; ``before`` and ``after`` are the store's states."""

    before: str
    after: str


@dataclass
class ReadAhead(Message):
    """The beginning of the next prompt was read, or was not; ``key`` is all that it depends on."""

    key: object
    seen: tuple[PictureFile, ...]
    """The pictures of the draft, if all was read."""


@dataclass
class ContextMeasured(Message):
    """The context was counted; ``key`` is all that it depends on."""

    key: object
    measured: Measured | None
    left_out_words: Mapping[str, str]
    """Notes on what the model does not see, by the ids of turns."""


@dataclass
class ReplyMoved(Message):
    """The running reply came further."""

    event: Event


@dataclass
class WorkChanged(Message):
    """The model is busy with something else; "" while it is idle."""

    words: str


@dataclass
class HintsChanged(Message):
    """Other keys do something, or a key does something else, where the focus is."""


@dataclass
class BranchWanted(Message):
    """A reply shall go on differently: with ``token`` at ``place``, as another version."""

    turn_id: str
    place: int
    token: int | str


@dataclass
class StatusSeen(Message):
    """The engine was looked at."""

    status: ModelStatus


@dataclass
class OfferChanged(Message):
    """Other models are offered to a new user, or none any more."""

    offer: Offer | None


@dataclass
class RequestRefused(Message):
    """The engine refused, or a command can't be done; ``reason`` is one plain sentence."""

    reason: str
    command: str = ""
    """The slash command, as it was typed."""
    is_error: bool = True
