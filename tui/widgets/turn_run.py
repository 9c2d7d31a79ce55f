"""Turn that is being answered: all that is known of it, whatever chat is on the screen."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from assistant.values.conversation import Draft, FinishReason, Turn
from assistant.values.errors import PhichatError
from assistant.values.events import (
    Event,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    Stage,
    ThoughtGrew,
    UserTurnStored,
)
from tui.widgets.feed import Feed, TurnOver

log = logging.getLogger(__name__)

STAGE_WORDS = {
    Stage.LOADING: "loading the model",
    Stage.QUEUED: "waiting for another chat",
    Stage.PICTURES: "looking at the pictures",
    Stage.PREFILL: "reading the chat",
    Stage.REGIME: "rebuilding for the long context",
    Stage.STORING: "waiting for the database · esc ends that",
}


@dataclass
class RunningTurn:
    """Filled by the screen from the feed; the thread only writes into ``feed``."""

    session_id: str | None
    view: int
    """The view of the screen that it was started from."""
    draft: Draft | None = None
    """The message that was sent; None when an old question is answered again."""
    system: str | None = None
    """The system message of the new chat that begins with the message."""
    schema: str = ""
    """The schema that the answers of that chat obey."""
    edited: str | None = None
    """The id of the message of which this is another version."""
    stored: bool = False
    """The user's turn is on disk."""
    compares: bool = False
    """Another model answers what was answered: both answers are shown then."""
    command: str = ""
    """The slash command that asked for it, as it was typed."""
    notice: str = ""
    """A sentence for the user as long as it runs."""
    asked: Turn | None = None
    """The user's turn as this run stored it."""
    reply: Turn | None = None
    failed: bool = False
    stopped: bool = False
    """The user ended the reply, or its end is not stored: nothing is sent after it by itself."""
    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    """Thinking of the model before its reply."""
    thinking_since: float | None = None
    """Monotonic seconds at which it began to."""
    feed: Feed = field(default_factory=Feed)
    _on_disk: bool = False
    """The thread saw the user's turn stored, whether or not the feed was emptied since."""
    _known: threading.Event = field(default_factory=threading.Event)
    """Set once it is known whether it was."""

    @property
    def has_begun(self) -> bool:
        """Whether the run has changed the chat."""
        return self.asked is not None or self.reply is not None

    def apply(self, event: Event) -> None:
        """Note an event."""
        match event:
            case UserTurnStored(session_id=session_id, turn=turn):
                self.session_id, self.asked, self.stored = session_id, turn, True
            case ReplyStarted(turn=turn):
                self.reply = turn
            case ReplyGrew(text=text):
                self.text.append(text)
            case ThoughtGrew(text=text):
                self.thinking_since = self.thinking_since or time.monotonic()
                self.thought.append(text)
            case ReplyEnded(turn=turn, unstored=unstored):
                self.stopped = turn.finish_reason is FinishReason.STOPPED or bool(unstored)
            case ReplyFailed():
                self.failed = True

    def run(self, start: Callable[[], Iterator[Event]]) -> None:
        """Iterate over the engine's events (in a thread); the feed always ends with TurnOver."""
        error = ""
        try:
            for event in start():
                self._on_disk = self._on_disk or isinstance(event, UserTurnStored)
                self._known.set()
                self.feed.put(event)
        except PhichatError as refused:
            error = str(refused)
        except Exception as unexpected:  # the app outlives any error
            log.exception("the turn failed")
            error = unexpected_words(unexpected)
        finally:
            self._known.set()
            self.feed.put(TurnOver(error))

    def unstored(self, patience: float) -> Draft | None:
        """Return what was sent and not stored; waits ``patience`` seconds at most to know."""
        if not self.stored:
            self._known.wait(patience)
        return None if self.stored or self._on_disk else self.draft


def unexpected_words(error: Exception) -> str:
    """Return one sentence for an error that the code does not expect."""
    return f"Something unexpected failed ({type(error).__name__}: {error})."


def progress_words(progress: Progressed) -> str:
    """Return ``reading the chat 40 %``."""
    words = progress.detail or STAGE_WORDS[progress.stage]
    if progress.total > 0:
        percent = min(100, 100 * progress.done // progress.total)
        return f"{words} {percent} %"
    return f"{words} …"
