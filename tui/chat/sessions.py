"""Which chat is open: listed, found, opened, begun anew; each keeps its draft and its place."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from itertools import count
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from assistant.values.conversation import Draft, Role, SearchHit
from assistant.values.words import joined
from tui import messages
from tui.chat.positions import Places
from tui.chat.session_actions import SessionActions
from tui.chat.turn_runner import TurnRunner
from tui.pages.engine_screen import EngineScreen
from tui.pages.palette import SessionPalette
from tui.pages.search import SearchScreen
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.session_list import SessionList, SessionOptions
from tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from assistant.engine import Engine

ALL = 1_000_000
"""More sessions than anybody has: a list of ten thousand is read in a tenth of a second."""


class SessionScreen(EngineScreen[None]):
    """The half of the chat screen that knows sessions; the other half, :mod:`chat`, knows turns."""

    def __init__(
        self, engine: Engine, clock: Callable[[], datetime], session_id: str | None
    ) -> None:
        super().__init__(engine)
        self._clock = clock
        self.chats = SessionActions(self, engine)
        self.session_id: str | None = None
        """The open session; None while it has no message."""
        self._wanted = session_id
        """The session that was asked for last; None: a new chat."""
        self._drafts: dict[str | None, Draft] = {}
        self.places = Places(engine.model.settings.cache_dir / "places.json")
        self._searched = ""
        self.listed_at = self.listing_s = 0.0
        """When the list was read last, and how long that took."""
        self._readings = count(1)
        self._listed = 0
        """The reading of the list that is shown: threads don't end in the order they began."""
        self.switching = asyncio.Lock()
        """Held while the open chat is replaced, or something is shown in it: keys, timers and
        messages come from different tasks, and the chat's id must be that of its turns."""
        self.views = 0
        """Counts what was shown: tells two new chats apart, neither of which has an id."""

    @property
    @abstractmethod
    def turns(self) -> TurnRunner:
        """What runs the turns."""

    def open_wanted(self) -> None:
        """Open the session that the app was started with."""
        if self._wanted is not None:
            self.open_session(self._wanted)

    def got_its_id(self, session_id: str) -> None:
        """The new chat on the screen was stored."""
        self.session_id = session_id

    def list_sessions(self) -> None:
        """Have the list read anew."""
        self.in_thread(self.read_sessions)

    def read_sessions(self) -> messages.SessionsListed:
        """Read the list (in a thread)."""
        reading = next(self._readings)
        begin = thread_time()
        sessions = tuple(self._engine.store.sessions(ALL))
        self.listing_s, self.listed_at = thread_time() - begin, monotonic()
        return messages.SessionsListed(reading, sessions)

    def open_session(self, session_id: str, turn_id: str | None = None) -> None:
        """Have a session read and shown, where it was left or at a turn, on whatever branch."""
        self._wanted = session_id
        ended, answering = self.turns.ended, self.turns.answers(session_id)

        def read() -> Message:
            self.places.load()
            conversation = self._engine.store.conversation(session_id)
            is_there = any(turn.id == turn_id for turn in conversation.turns)
            if turn_id is not None and not is_there and not answering:
                conversation = self._engine.store.choose(session_id, turn_id)
            return messages.SessionOpened(conversation, ended, turn_id)

        self.in_thread(read)

    async def go_to(self, session_id: str, turn_id: str | None) -> None:
        """Go to a turn of any session; None: to where the session was left."""
        self._close_list()
        is_open = session_id == self.session_id
        if turn_id is not None and is_open and await self.query_one(ChatPane).show_turn(turn_id):
            await self.turn_reached(turn_id)
        elif turn_id is not None or not is_open:
            self.open_session(session_id, turn_id)

    def _close_list(self) -> None:
        """In a narrow window the list lies over the chat that one wants to see."""
        if self.has_class("-list-open"):
            self.remove_class("-list-open")
            self.query_one(Composer).area.focus()

    @abstractmethod
    async def turn_reached(self, turn_id: str) -> None:
        """A turn that was looked for is in sight."""

    @on(messages.SessionsListed)
    def _show_sessions(self, event: messages.SessionsListed) -> None:
        if event.reading > self._listed:  # else a list that was read later came earlier
            self._listed = event.reading
            self.query_one(SessionList).show(event.sessions, self.session_id)
            self._show_header()

    def _show_header(self) -> None:
        title = "New chat"
        if self.session_id is not None:
            title = self.query_one(SessionList).title_of(self.session_id) or "Untitled"
        header = self.query_one(ChatHeader)
        header.chat_title, header.pictures = title, self.query_one(ChatPane).pictures

    @on(SessionList.Chosen)
    def _open_chosen(self, event: SessionList.Chosen) -> None:
        match event.action:
            case "rename":
                self._rename(event.session_id)
            case "pin":
                self.chats.pin(event.session_id)
            case "fork":
                self.chats.fork(event.session_id)
            case "delete":
                self.chats.delete(event.session_id)
            case _:
                self.remove_class("-list-open")
                self.query_one(Composer).area.focus()
                if event.session_id != self.session_id:
                    self.open_session(event.session_id)

    @on(messages.SessionOpened)
    async def _show_session(self, event: messages.SessionOpened) -> None:
        async with self.switching:
            await self._switch_to(event)

    async def _switch_to(self, event: messages.SessionOpened) -> None:
        conversation = event.conversation
        if conversation.id != self._wanted:
            return  # another chat was chosen meanwhile
        if event.turns_ended != self.turns.ended:
            self.open_session(conversation.id, event.turn_id)  # read before a reply was complete
            return
        await self._switch_draft(conversation.id)
        running = self.turns.running if self.turns.answers(conversation.id) else None
        pane = self.query_one(ChatPane)
        await pane.show(conversation.turns, running)
        if event.turn_id is not None and await pane.show_turn(event.turn_id):
            await self.turn_reached(event.turn_id)
        elif event.turn_id is not None:
            self.tell("That is on another branch: wait for the reply that is being written.")
        elif place := self.places.of(conversation.id):
            await pane.show_turn(place.turn_id, place.line)
        self.query_one(SessionList).mark_open(conversation.id)
        asked = [turn.text for turn in conversation.turns if turn.role is Role.USER]
        self.query_one(Composer).area.prompts.load(asked)
        self.query_one(StatusLine).show_last(conversation.turns)
        self._show_header()

    async def _switch_draft(self, session_id: str | None) -> None:
        composer = self.query_one(Composer)
        self.places.leave(self.session_id, self.query_one(ChatPane).chat.place)
        if session_id != self.session_id:
            self._drafts[self.session_id] = await composer.clear()
            if kept := self._drafts.pop(session_id, None):
                await composer.put(kept)
        self.session_id = session_id
        self.views += 1

    async def action_new_session(self) -> None:
        """Start an empty chat; the session is made when the first message is sent."""
        self._close_list()
        self._wanted = None
        async with self.switching:
            if self._wanted is None:  # else another chat was chosen meanwhile
                await self._switch_to_new()

    async def _switch_to_new(self) -> None:
        await self._switch_draft(None)
        await self.query_one(ChatPane).show((), None)
        self.query_one(SessionList).mark_open(None)
        composer = self.query_one(Composer)
        composer.area.prompts.load(())
        composer.area.focus()
        self.query_one(StatusLine).show_last(())
        self._show_header()

    async def action_rename_session(self, title: str = "") -> None:
        """Rename the open chat; without a title, ask for one."""
        self._rename(self.session_id, title)

    @work
    async def _rename(self, session_id: str | None, title: str = "") -> None:
        await self.chats.rename(session_id, title)

    def action_pin_session(self) -> None:
        """Keep the open chat on top of the list, or no longer."""
        self.chats.pin(self.session_id)

    def action_fork_session(self) -> None:
        """Copy the open chat into a new one."""
        turns = self.query_one(ChatPane).turns
        self.chats.fork(self.session_id, turns[-1].id if turns else None)

    def action_delete_session(self) -> None:
        """Delete the open chat."""
        self.chats.delete(self.session_id)

    def action_bring_back_session(self) -> None:
        """Undo the last deletion."""
        self.chats.bring_back()

    @on(messages.SessionForked)
    def _open_fork(self, event: messages.SessionForked) -> None:
        self.list_sessions()
        self.open_session(event.session_id)
        self.tell("This is a copy: what you say here does not change the other chat.")

    @on(messages.SessionDeleted)
    async def _leave_deleted(self, event: messages.SessionDeleted) -> None:
        async with self.switching:
            was_open = event.session_id == self.session_id
            if not (was_open or event.title):
                return  # it was left already
            self.chats.deleted(event, was_open=was_open)
            if self._wanted == event.session_id:  # else another chat is on its way
                self._wanted = None
            if was_open:
                focused = self.focused
                await self._switch_to_new()
                if isinstance(focused, SessionOptions):
                    focused.focus()
                else:
                    self._close_list()
        self.list_sessions()

    @on(messages.SessionRestored)
    def _show_restored(self, event: messages.SessionRestored) -> None:
        self.list_sessions()
        if event.reopen and self.session_id is None:
            self.open_session(event.session_id)

    def action_switch_session(self) -> None:
        """Show the palette with the chats alone."""
        self.app.push_screen(SessionPalette())

    def action_search(self, words: str = "") -> None:
        """Search all chats, and go to what was found."""
        search = SearchScreen(self._engine, self._clock, words or self._searched)

        async def closed(hit: SearchHit | None) -> None:
            self._searched = search.words
            if hit is not None:
                await self.go_to(hit.session_id, hit.turn_id)

        # at once, and not in a worker: what is typed next is for the search
        self.app.push_screen(search, closed)

    def left_in(self, session_id: str | None) -> Draft:
        """What was typed in a chat that is not open, and not sent."""
        return self._drafts.get(session_id, Draft(""))

    async def give_back(self, draft: Draft, session_id: str | None) -> None:
        """Nothing was stored: words and pictures go back to where they were typed."""
        if session_id == self.session_id:
            await self.query_one(Composer).put(draft)
        else:
            self._drafts[session_id] = joined(draft, self.left_in(session_id))
