"""Drafts in the store: what is typed, attached or queued in each chat and not sent."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from assistant.values.conversation import Draft
from assistant.values.errors import PhichatError, SessionNotFoundError
from assistant.values.words import joined
from tui import messages

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""Longest wait, at the end of the app, for a message that is just being stored."""


class DraftKeeper:
    """Saves the draft of the open chat, and of each chat what waits in the queue."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat
        self.typed = Draft("")
        """The draft of the open chat."""
        self._read: set[str | None] = set()
        """Sessions whose stored draft was brought back; nothing is saved for others."""
        self._to_save: dict[str | None, Draft] = {}
        """Drafts that the threads begun for them have not written yet."""
        self._writing = threading.Lock()
        """Held while a draft is written, so that the last one to be saved is the one that stays."""

    def save(self, session_id: str | None) -> None:
        """Save the draft of a chat, in a thread."""
        if session_id in self._read:
            self._to_save[session_id] = self._whole(session_id)
            self._host.in_thread(lambda: self._store(session_id))

    def read(self) -> None:
        """Read the stored draft of the open chat, once."""
        session_id = self._chat.session_id
        if session_id not in self._read:
            self._host.in_thread(
                lambda: messages.DraftRead(session_id, self._engine.store.draft(session_id))
            )

    def take(self, event: messages.DraftRead) -> Draft | None:
        """Return what was read if it belongs to the open chat and was not returned before."""
        if event.session_id != self._chat.session_id or event.session_id in self._read:
            return None
        self._read.add(event.session_id)
        return event.draft

    def move_to(self, session_id: str) -> None:
        """Count the draft of the new chat as that of ``session_id``, the id it got."""
        self._read.add(session_id)
        self._to_save[None] = Draft("")
        self._host.in_thread(lambda: self._store(None))

    def close(self) -> None:
        """Save at the end of the app, on this thread, whatever is not saved yet."""
        chat = self._chat
        drafts = {place: self._whole(place) for place in chat.queued_drafts()}
        if chat.session_id in self._read:
            drafts[chat.session_id] = self._whole(chat.session_id)
        running = chat.running
        if running is not None and (sent := running.unstored(PATIENCE_S)) is not None:
            place = running.session_id
            drafts[place] = joined(sent, drafts.get(place, self._whole(place)))
        with self._writing:
            self._to_save.clear()
            for place, draft in drafts.items():
                try:
                    self._engine.store.save_draft(place, draft)
                except PhichatError:
                    log.exception("a draft could not be saved")

    def _whole(self, session_id: str | None) -> Draft:
        is_open = session_id == self._chat.session_id
        typed = self.typed if is_open else self._chat.left_in(session_id)
        return joined(self._chat.queued_drafts().get(session_id), typed)

    def _store(self, session_id: str | None) -> Message | None:
        with self._writing:
            if (draft := self._to_save.pop(session_id, None)) is None:
                return None  # another thread has written it
            before = self._engine.store.changes()
            with suppress(SessionNotFoundError):  # it was deleted meanwhile
                self._engine.store.save_draft(session_id, draft)
            return messages.DraftSaved(before, self._engine.store.changes())
