"""What can be done with whole chats, the open one or one of the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from assistant.values.text import one_line
from tui import messages
from tui.pages.rename import RenameScreen
from tui.widgets.session_list import SessionList

if TYPE_CHECKING:
    from assistant.engine import Engine
    from tui.chat.sessions import SessionScreen

NO_MESSAGE = "This chat has no message yet."


class SessionActions:
    """Each method is one command; the engine is asked in threads and answers with messages."""

    def __init__(self, screen: SessionScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._deleted: list[tuple[messages.SessionDeleted, bool]] = []
        """What can be brought back, the newest last, and whether it was the open one."""

    async def rename(self, session_id: str | None, title: str) -> None:
        """Rename a chat; without ``title``, ask for one (in a worker: a dialog is waited for)."""
        if session_id is None:
            self._screen.tell(NO_MESSAGE)
            return
        old = self._title(session_id)
        new = one_line(title) or await self._screen.app.push_screen_wait(RenameScreen(old))
        if new and new != old:
            self._change(lambda: self._engine.store.rename(session_id, new))

    def pin(self, session_id: str | None) -> None:
        """Keep a chat on top of the list, or no longer."""
        if session_id is None:
            self._screen.tell(NO_MESSAGE)
            return
        pinned = not self._list.is_pinned(session_id)
        self._screen.tell("The chat stays on top." if pinned else "The chat is no longer pinned.")
        self._change(lambda: self._engine.store.set_pinned(session_id, pinned))

    def fork(self, session_id: str | None, turn_id: str | None = None) -> None:
        """Copy a chat, up to a turn or its end, into a new one, and open that."""
        if session_id is None:
            self._screen.tell(NO_MESSAGE)
            return
        self._screen.in_thread(
            lambda: messages.SessionForked(self._engine.store.fork(session_id, turn_id))
        )

    def delete(self, session_id: str | None) -> None:
        """Delete a chat; :meth:`bring_back` undoes it."""
        if session_id is None:
            self._screen.tell(NO_MESSAGE)
            return
        if self._screen.turns.answers(session_id):
            self._screen.tell("A reply is being written in this chat; stop it with esc first.")
            return
        title = one_line(self._title(session_id), 40) or "Untitled"

        def delete() -> Message:
            self._engine.store.delete(session_id)
            return messages.SessionDeleted(session_id, title)

        self._screen.in_thread(delete)

    def deleted(self, event: messages.SessionDeleted, *, was_open: bool) -> None:
        """Say so, and remember it for :meth:`bring_back`."""
        if event.title:
            self._deleted.append((event, was_open))
            self._screen.tell(f"“{event.title}” was deleted. F7 brings it back.")
        else:
            self._screen.tell("This chat was deleted in another terminal.")

    def bring_back(self) -> None:
        """Undo the last deletion, then the one before."""
        if not self._deleted:
            self._screen.tell("No chat was deleted since the start.")
            return
        event, was_open = self._deleted.pop()

        def restore() -> Message:
            self._engine.store.restore(event.session_id)
            return messages.SessionRestored(event.session_id, was_open)

        self._screen.in_thread(restore)

    def _change(self, change: Callable[[], None]) -> None:
        def job() -> Message:
            change()
            return self._screen.read_sessions()

        self._screen.in_thread(job)

    def _title(self, session_id: str) -> str:
        return self._list.title_of(session_id)

    @property
    def _list(self) -> SessionList:
        return self._screen.query_one(SessionList)
