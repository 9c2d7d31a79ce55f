"""A screen that asks the engine in threads and gets its answers as messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from assistant.values.errors import PhichatError
from assistant.values.text import plain
from tui import messages
from tui.pages.guarded import GuardedScreen, ResultT
from tui.widgets.running_turn import unexpected_words

if TYPE_CHECKING:
    from assistant.engine import Engine

log = logging.getLogger(__name__)

NOTICE_S = 4.0
ERROR_S = 8.0


class EngineScreen(GuardedScreen[ResultT]):
    """Nothing here waits for the store or the model."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    @work(thread=True, group="engine")
    def in_thread(self, job: Callable[[], Message | None]) -> None:
        """Run ``job`` in a thread; its message, or the engine's refusal, comes to this screen."""
        message: Message | None
        try:
            message = job()
        except PhichatError as refused:
            message = messages.RequestRefused(str(refused))
        except Exception as unexpected:  # whatever it is, the app goes on
            log.exception("a request to the engine failed")
            message = messages.RequestRefused(unexpected_words(unexpected))
        if message is not None:
            self.post_message(message)

    def action_close(self) -> None:
        """Leave the page."""
        self.dismiss(None)

    def tell(self, words: str, *, error: bool = False) -> None:
        """Show a notification; ``words`` are never read as markup."""
        self.notify(
            plain(words),
            severity="error" if error else "information",
            markup=False,
            timeout=ERROR_S if error else NOTICE_S,
        )

    @on(messages.RequestRefused)
    def _tell_refusal(self, event: messages.RequestRefused) -> None:
        self.tell(event.reason, error=True)
