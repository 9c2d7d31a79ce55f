"""Summaries of turns that no longer fit, written while the model is idle."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from assistant.values.errors import PhichatError
from tui import messages

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine.engine import Engine
    from tui.chat.part import Host

log = logging.getLogger(__name__)

RETRY_S = 0.1


class Summariser:
    """At most one summary at a time; a turn that is sent ends it and goes first."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self._host = host
        self._engine = engine
        self._model = threading.Lock()
        """Held while the model writes a summary."""
        self._wanted = threading.Event()

    def consider(self, session_id: str | None) -> None:
        """Sum up a chat if summaries are on and one is due; no reply may be running."""
        if session_id is not None and self._engine.model.settings.summaries:
            self._wanted.set()
            self._host.in_thread(lambda: self._sum_up(session_id))

    def make_way(self) -> None:
        """End a running summary and return once the model is free; called in the turn's thread."""
        self._wanted.clear()
        while not self._model.acquire(timeout=RETRY_S):
            self._engine.model.core.stop()
        self._model.release()

    def _sum_up(self, session_id: str) -> Message | None:
        with self._model:
            try:
                if self._wanted.is_set() and self._engine.memory.is_summary_due(session_id):
                    for _ in self._engine.memory.summarise(session_id):
                        if not self._wanted.is_set():
                            self._engine.model.core.stop()
                    return messages.TurnMarked()
            except PhichatError:  # no user asked for it: the next idle moment tries again
                log.exception("a summary could not be made")
        return None
