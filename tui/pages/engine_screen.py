"""Screen that asks the engine in threads and gets the answers as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from tui import messages, requests
from tui.textual_fixes import GuardedScreen, ResultT

if TYPE_CHECKING:
    from assistant.engine.engine import Engine


class EngineScreen(GuardedScreen[ResultT]):
    """Page that never waits for the store or the model on the app's thread."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def in_thread(self, job: requests.Job) -> None:
        """Run ``job`` in a thread; its message, or the engine's refusal, comes to this screen."""
        requests.in_thread(self, job)

    def action_close(self) -> None:
        """Leave the page."""
        self.dismiss(None)

    def tell(self, words: str, *, error: bool = False) -> None:
        """Show a notice; ``words`` are never read as markup."""
        requests.notify(self, words, error=error)

    @on(messages.RequestRefused)
    def _tell_refusal(self, event: messages.RequestRefused) -> None:
        self.tell(event.reason, error=event.is_error)
