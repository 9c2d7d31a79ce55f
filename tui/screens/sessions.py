"""Which chat is open: listed, opened, begun anew, renamed, deleted; each keeps its draft."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from assistant.conversation import Draft, Role
from assistant.plain_text import one_line
from tui import messages
from tui.screens.confirm import ConfirmScreen
from tui.screens.engine_screen import EngineScreen
from tui.screens.rename import RenameScreen
from tui.turn_runner import TurnRunner
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.session_list import SessionList
from tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from assistant.engine import Engine


class SessionScreen(EngineScreen):
    """The half of the chat screen that knows sessions; the other half, :mod:`chat`, knows turns."""

    def __init__(self, engine: Engine, session_id: str | None) -> None:
        super().__init__(engine)
        self.session_id: str | None = None
        """The open session; None while it has no message."""
        self._wanted = session_id
        self._drafts: dict[str | None, Draft] = {}
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
        self.session_id = self._wanted = session_id

    def list_sessions(self) -> None:
        """Have the list read anew."""
        self.in_thread(lambda: messages.SessionsListed(tuple(self._engine.sessions())))

    def open_session(self, session_id: str) -> None:
        """Have a session read and shown."""
        self._wanted = session_id
        ended = self.turns.ended
        self.in_thread(lambda: messages.SessionOpened(self._engine.conversation(session_id), ended))

    @on(messages.SessionsListed)
    def _show_sessions(self, event: messages.SessionsListed) -> None:
        listed = self.query_one(SessionList)
        listed.show(event.sessions, self.session_id)
        self._show_header()

    def _show_header(self) -> None:
        title = "New chat"
        if self.session_id is not None:
            title = self.query_one(SessionList).title_of(self.session_id) or "Untitled"
        header = self.query_one(ChatHeader)
        header.chat_title, header.pictures = title, self.query_one(ChatPane).pictures

    @on(SessionList.Chosen)
    def _open_chosen(self, event: SessionList.Chosen) -> None:
        self.remove_class("-list-open")
        self.query_one(Composer).area.focus()
        if event.session_id != self.session_id:
            self.open_session(event.session_id)

    @on(messages.SessionOpened)
    async def _show_session(self, event: messages.SessionOpened) -> None:
        conversation = event.conversation
        if conversation.id != self._wanted:
            return  # another chat was chosen meanwhile
        if event.turns_ended != self.turns.ended:
            self.open_session(conversation.id)  # it was read before a reply was complete
            return
        await self._switch_draft(conversation.id)
        running = self.turns.running if self.turns.answers(conversation.id) else None
        await self.query_one(ChatPane).show(conversation.turns, running)
        self.query_one(SessionList).mark_open(conversation.id)
        asked = [turn.text for turn in conversation.turns if turn.role is Role.USER]
        self.query_one(Composer).area.prompts.load(asked)
        self.query_one(StatusLine).show_last(conversation.turns)
        self._show_header()

    async def _switch_draft(self, session_id: str | None) -> None:
        composer = self.query_one(Composer)
        if session_id != self.session_id:
            self._drafts[self.session_id] = composer.draft
            await composer.clear()
            if kept := self._drafts.pop(session_id, None):
                await composer.put(kept)
        self.session_id = session_id
        self.views += 1

    async def action_new_session(self) -> None:
        """Start an empty chat; the session is made when the first message is sent."""
        self._wanted = None
        await self._switch_draft(None)
        await self.query_one(ChatPane).show((), None)
        self.query_one(SessionList).mark_open(None)
        composer = self.query_one(Composer)
        composer.area.prompts.load(())
        composer.area.focus()
        self.query_one(StatusLine).show_last(())
        self._show_header()

    @work
    async def action_rename_session(self, title: str = "") -> None:
        """Rename the open chat; without a title, ask for one."""
        session_id = self.session_id
        if session_id is None:
            self.tell("This chat has no message yet; it gets its title with the first one.")
            return
        old = self.query_one(SessionList).title_of(session_id)
        new = one_line(title) or await self.app.push_screen_wait(RenameScreen(old))
        if new and new != old:

            def rename() -> Message:
                self._engine.rename(session_id, new)
                return messages.SessionsListed(tuple(self._engine.sessions()))

            self.in_thread(rename)

    def action_delete_session(self) -> None:
        """Delete the open chat, after a question."""
        if self.session_id is None:
            self.tell("This chat has no message yet; there is nothing to delete.")
        else:
            self._delete_asked(self.session_id)

    @on(SessionList.DeleteRequested)
    def _delete_listed(self, event: SessionList.DeleteRequested) -> None:
        self._delete_asked(event.session_id)

    @work
    async def _delete_asked(self, session_id: str) -> None:
        if self.turns.answers(session_id):
            self.tell("A reply is being written in this chat; stop it with esc first.")
            return
        title = one_line(self.query_one(SessionList).title_of(session_id), 60) or "Untitled"
        question = f"Delete “{title}” with its pictures? It can't be brought back."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Delete it")):

            def delete() -> Message:
                self._engine.delete(session_id, for_good=True)
                return messages.SessionDeleted(session_id)

            self.in_thread(delete)

    @on(messages.SessionDeleted)
    async def _leave_deleted(self, event: messages.SessionDeleted) -> None:
        self._drafts.pop(event.session_id, None)
        if event.session_id == self.session_id:
            await self.action_new_session()
        self.list_sessions()

    async def give_back(self, draft: Draft, session_id: str | None) -> None:
        """Nothing was stored: words and pictures go back to where they were typed."""
        if session_id == self.session_id:
            await self.query_one(Composer).put(draft)
        else:
            self._drafts[session_id] = draft
