"""Command palette, and its provider of chats by title."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from assistant.values.conversation import SessionSummary
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui.messages import SessionChosen
from tui.pages.dialog import TypingGoesToField

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from assistant.engine.engine import Engine

ALL = 1_000_000
"""More sessions than anybody has."""
RECENT = 5
"""Shown before anything is typed."""
MOST = 30
"""Shown of those that fit: the newest."""


class Source(Protocol):
    """The app's members that the palette uses."""

    engine: Engine
    clock: Callable[[], datetime]


class Palette(TypingGoesToField, CommandPalette):
    """Command palette that also takes letters typed before its line has the focus."""


class SessionPalette(Palette):
    """Palette of chats only."""

    def __init__(self) -> None:
        super().__init__([SessionProvider], placeholder="Go to a chat: words of its title")


class SessionProvider(Provider):
    """Provider that reads the titles once per palette, in a thread."""

    _sessions: Sequence[tuple[str, SessionSummary]] = ()
    """Each with its title as it is compared."""

    async def startup(self) -> None:
        self._sessions = await asyncio.to_thread(self._read)

    async def discover(self) -> Hits:
        for _, session in self._sessions[:RECENT]:
            yield DiscoveryHit(
                Content(f"Chat: {_title(session)}"),
                partial(self._open, session.id),
                text=f"Chat: {_title(session)}",
                help=self._facts(session),
            )

    async def search(self, query: str) -> Hits:
        """Find chats whose title has every typed word; those where words begin so come first."""
        words = query.casefold().split()
        found = [(title, one) for title, one in self._sessions if all(w in title for w in words)]
        begun = re.compile("".join(rf"(?=.*(?<!\w){re.escape(word)})" for word in words))
        fitting = [one for _, one in sorted(found, key=lambda row: not begun.match(row[0]))]
        for place, session in enumerate(fitting[:MOST]):
            shown = Content(f"Chat: {_title(session)}")
            for word in words:
                at = shown.plain.casefold().find(word, len("Chat: "))
                if at >= 0:
                    shown = shown.stylize("bold underline", at, at + len(word))
            yield Hit(
                1 - place / (2 * MOST),
                shown,
                partial(self._open, session.id),
                text=shown.plain,
                help=self._facts(session),
            )

    @property
    def _source(self) -> Source:
        return cast(Source, self.app)

    def _read(self) -> list[tuple[str, SessionSummary]]:
        return [(_title(one).casefold(), one) for one in self._source.engine.store.sessions(ALL)]

    def _open(self, session_id: str) -> None:
        self.app.post_message(SessionChosen(session_id))

    def _facts(self, session: SessionSummary) -> str:
        pictures = [counted(session.pictures, "picture")] if session.pictures else []
        used = "damaged" if session.damaged else ago(session.updated, self._source.clock())
        return " · ".join([*pictures, used])


def _title(session: SessionSummary) -> str:
    return one_line(session.title, 80) or "Untitled"
