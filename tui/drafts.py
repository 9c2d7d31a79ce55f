"""What is typed and attached, and not sent: kept in the store while one writes."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.timer import Timer

from assistant.conversation import Draft
from assistant.errors import PhichatError, SessionNotFoundError
from tui import messages
from tui.text import joined
from tui.widgets.composer import Composer

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.screens.chat import ChatScreen

log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""How long nothing is typed before it is saved."""


class DraftKeeper:
    """Saves the composer's draft, and what waits in the queue, for the open chat."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._timer: Timer | None = None
        self._latest = Draft("")
        self._read: set[str | None] = set()
        """Sessions whose stored draft was brought back; nothing is saved for others."""

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
            self.save()

    def save(self) -> None:
        """Save what there is of the open chat (in a thread)."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        session_id = self._screen.session_id
        if session_id in self._read:
            draft = self._whole(session_id)
            self._screen.in_thread(lambda: self._store(session_id, draft))

    def bring_back(self) -> None:
        """Have the stored draft of the open chat read, once."""
        session_id = self._screen.session_id
        if session_id not in self._read:
            self._screen.in_thread(
                lambda: messages.DraftRead(session_id, self._engine.draft(session_id))
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
        self._screen.in_thread(lambda: self._engine.drop_draft(None))

    def close(self) -> None:
        """The app ends: save what was not saved yet, now."""
        drafts = self._screen.talk.unsent()
        session_id = self._screen.session_id
        if session_id in self._read:
            drafts[session_id] = self._whole(session_id)
        for place, draft in drafts.items():
            try:
                self._engine.save_draft(place, draft)
            except PhichatError:
                log.exception("a draft could not be saved")

    def _whole(self, session_id: str | None) -> Draft:
        return joined(self._screen.talk.unsent().get(session_id), self._latest)

    def _store(self, session_id: str | None, draft: Draft) -> Message:
        before = self._engine.changes()
        with suppress(SessionNotFoundError):  # it was deleted meanwhile
            self._engine.save_draft(session_id, draft)
        return messages.DraftSaved(before, self._engine.changes())
