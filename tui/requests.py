"""Requests to the engine in threads, and notices to the user."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar

from textual.message import Message
from textual.notifications import SeverityLevel
from textual.widget import Widget

from assistant.values.errors import PhichatError, SessionNotFoundError
from assistant.values.text import plain
from tui.messages import RequestRefused
from tui.widgets.turn_run import unexpected_words

log = logging.getLogger(__name__)

Answer = Message | Callable[[], object] | None
"""Result of a request: a message to post, a function to call on the app's thread, or nothing."""
Job = Callable[[], Answer]
COMMAND: ContextVar[str] = ContextVar("COMMAND", default="")
"""The slash command that is being done, as it was typed: nothing of it shall be lost."""


def notify(widget: Widget, words: str, *, error: bool = False) -> None:
    """Show a notice; ``words`` are never read as markup."""
    severity: SeverityLevel = "error" if error else "information"
    widget.notify(plain(words), severity=severity, markup=False)


def refuse(widget: Widget, words: str, *, error: bool = False) -> None:
    """Say why something can't be done; a slash command that asked for it is text again."""
    widget.post_message(RequestRefused(words, COMMAND.get(), is_error=error))


def in_thread(widget: Widget, job: Job) -> None:
    """Run ``job`` in a thread and hand its answer, or the engine's refusal, to ``widget``."""
    widget.run_worker(_runner(widget, job), thread=True, group="engine")


def unless_deleted(job: Job) -> Job:
    """Make a job about the open chat, asked for by no key, end without a word once that is gone.

    Threads may begin long after they were wanted, and the deletion has a notice of its own.
    """

    def run() -> Answer:
        try:
            return job()
        except SessionNotFoundError:
            return None

    return run


def in_background(widget: Widget, job: Job) -> None:
    """Do the same in a thread that the end of the app does not wait for."""
    threading.Thread(target=_runner(widget, job), daemon=True).start()


def _runner(widget: Widget, job: Job) -> Callable[[], None]:
    command = COMMAND.get()

    def run() -> None:
        answer: Answer
        try:
            answer = job()
        except PhichatError as refused:
            answer = RequestRefused(str(refused), command)
        except Exception as unexpected:  # the app outlives any error of a request
            log.exception("a request to the engine failed")
            answer = RequestRefused(unexpected_words(unexpected), command)
        if isinstance(answer, Message):
            widget.post_message(answer)
        elif answer is not None:
            widget.call_later(answer)

    return run
