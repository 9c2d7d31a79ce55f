"""Has the model sum up what no longer fits, while nobody waits for it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError
from tui import messages

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen

log = logging.getLogger(__name__)

RETRY_S = 0.1


class Summariser:
    """At most one summary at a time; a turn that is sent ends it and goes first."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._model = threading.Lock()
        """Held while the model writes a summary."""
        self._wanted = threading.Event()

    def consider(self) -> None:
        """Nothing is being answered: sum up the open chat if summaries are on and one is due."""
        session_id = self._screen.session_id
        if session_id is not None and self._engine.model.settings.summaries:
            self._wanted.set()
            self._screen.in_thread(lambda: self._sum_up(session_id))

    def make_way(self) -> None:
        """Return once the model is free (in the thread of the turn that comes first)."""
        self._wanted.clear()
        while not self._model.acquire(timeout=RETRY_S):
            self._engine.stop()
        self._model.release()

    def _sum_up(self, session_id: str) -> Message | None:
        with self._model:
            try:
                if self._wanted.is_set() and self._engine.memory.is_summary_due(session_id):
                    for _ in self._engine.memory.summarise(session_id):
                        if not self._wanted.is_set():
                            self._engine.stop()
                    return messages.TurnMarked()
            except PhichatError:  # nobody asked for it: the next idle moment tries again
                log.exception("a summary could not be made")
        return None
