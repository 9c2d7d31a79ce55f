"""Reading ahead: the model looks at what is attached, and reads the chat, while the user types."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from assistant.values.conversation import Draft
from assistant.values.errors import PhichatError
from assistant.values.events import Phase
from tui.messages import ReadAhead

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.events import ModelStatus
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host

log = logging.getLogger(__name__)


class Reader:
    """Has the beginning of the next prompt read in a thread, whenever it is another one.

    That is from the first picture or letter of a draft on, because to open a chat is no sign of a
    question. Not while a reply of this app runs: the next prompt contains it.
    """

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self._wanted: object = None
        """All that the beginning depends on, as it was read or is being read."""
        self._reading = False

    def look(self, draft: Draft, edited: str | None, status: ModelStatus | None) -> None:
        """Begin to read, or give up what the draft no longer needs."""
        wanted = self._key(draft, edited, status)
        if wanted == self._wanted:
            return
        if self._reading:
            self._engine.stop_reading()  # the look after its end begins
            return
        self._wanted = wanted
        if wanted is None:
            return
        self._reading = True
        chat, parent = self._chat, self._chat.parent_of(edited)
        ask = partial(self._engine.read_ahead, chat.session_id, draft, parent=parent)
        system = chat.system

        def read() -> ReadAhead:
            try:
                whole = ask(system=system)
            except PhichatError:  # the status line, or the send, says so
                whole = False
            except Exception:  # nothing that the user asked for has failed
                log.exception("reading ahead failed")
                whole = False
            return ReadAhead(wanted, draft.pictures if whole else ())

        self._host.in_thread(read)

    def end(self, event: ReadAhead) -> bool:
        """Note that the reading is over; returns whether the draft still has these pictures."""
        self._reading = False
        return event.key == self._wanted

    def _key(self, draft: Draft, edited: str | None, status: ModelStatus | None) -> object:
        chat = self._chat
        ready = status is not None and status.phase is Phase.READY and not status.is_server
        has_words = draft.text.strip() and not draft.text.startswith("/")
        if not ready or chat.running is not None or not (has_words or draft.pictures):
            return None
        return (
            chat.session_id,
            chat.system,
            chat.view,
            chat.ended,
            hash(tuple(map(id, chat.turns))),
            edited,
            tuple((file.pixels_sha256, file.num_crops) for file in draft.pictures),
            (status and status.model, id(status and status.plan)),
            self._engine.model.settings,
        )
