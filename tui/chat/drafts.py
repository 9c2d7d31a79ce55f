"""What is typed and attached, and not sent: kept in the store while one writes."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.timer import Timer

from assistant.values.conversation import Draft
from assistant.values.errors import PhichatError, SessionNotFoundError
from assistant.values.words import joined
from tui import messages
from tui.widgets.composer import Composer

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen

log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""How long nothing is typed before it is saved."""
PATIENCE_S = 3.0
"""How long the end of the app waits for a message that is just being stored."""


class DraftKeeper:
    """Saves the composer's draft, and what waits in the queue, for the open chat."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._timer: Timer | None = None
        self._latest = Draft("")
        self._read: set[str | None] = set()
        """Sessions whose stored draft was brought back; nothing is saved for others."""
        self._to_save: dict[str | None, Draft] = {}
        """What the threads that were begun for it have not yet written."""
        self._writing = threading.Lock()
        """Held while a draft is written: the last one that was to be saved is the one that is."""

    def changed(self) -> None:
        """Something was typed, attached or taken away: save it soon."""
        self._latest = self._screen.query_one(Composer).unsent
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._screen.set_timer(PAUSE_S, self._save_soon)

    def _save_soon(self) -> None:
        if self._screen.switching.locked():  # the words may be of one chat, the id of another
            self._timer = self._screen.set_timer(PAUSE_S, self._save_soon)
        else:
            self.save(self._screen.session_id)

    def switched(self, left: str | None) -> None:
        """Another chat is open: save what was left in that one."""
        if self._timer is not None:
            self._timer.stop()
        self._latest = self._screen.query_one(Composer).unsent
        self.save(left)

    def save(self, session_id: str | None) -> None:
        """Save what there is of a chat (in a thread)."""
        if session_id in self._read:
            self._to_save[session_id] = self._whole(session_id)
            self._screen.in_thread(lambda: self._store(session_id))

    def bring_back(self) -> None:
        """Have the stored draft of the open chat read, once."""
        session_id = self._screen.session_id
        if session_id not in self._read:
            self._screen.in_thread(
                lambda: messages.DraftRead(session_id, self._engine.store.draft(session_id))
            )

    async def show(self, event: messages.DraftRead) -> None:
        """Put what was read into the composer, in front of what was typed meanwhile."""
        if event.session_id == self._screen.session_id and event.session_id not in self._read:
            self._read.add(event.session_id)
            if event.draft is not None:
                await self._screen.query_one(Composer).put(event.draft)

    def moved(self, session_id: str) -> None:
        """The new chat got its id: what is typed now belongs to that."""
        self._read.add(session_id)
        self._to_save[None] = Draft("")
        self._screen.in_thread(lambda: self._store(None))

    def close(self) -> None:
        """The app ends: save what was not saved yet, now."""
        drafts = {place: self._whole(place) for place in self._screen.talk.unsent()}
        session_id = self._screen.session_id
        if session_id in self._read:
            drafts[session_id] = self._whole(session_id)
        running = self._screen.turns.running
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
        is_open = session_id == self._screen.session_id
        typed = self._latest if is_open else self._screen.left_in(session_id)
        return joined(self._screen.talk.unsent().get(session_id), typed)

    def _store(self, session_id: str | None) -> Message | None:
        with self._writing:
            if (draft := self._to_save.pop(session_id, None)) is None:
                return None  # a thread that was quicker has written it
            before = self._engine.store.changes()
            with suppress(SessionNotFoundError):  # it was deleted meanwhile
                self._engine.store.save_draft(session_id, draft)
            return messages.DraftSaved(before, self._engine.store.changes())
