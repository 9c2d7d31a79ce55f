"""Sidebar: the list of chats, and what can be done with whole chats."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import count
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import SearchHit
from assistant.values.text import one_line
from tui import messages
from tui.chat.part import ChatPart
from tui.pages.palette import SessionPalette
from tui.pages.rename import RenameScreen
from tui.pages.search import SearchScreen
from tui.widgets.hints import hints_of, in_lines
from tui.widgets.new_chat import NewChat
from tui.widgets.session_list import Clock, SessionList, keys_of

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.widgets.gallery import Gallery

ALL = 1_000_000
"""More sessions than any database holds. Reading ten thousand takes a tenth of a second."""
AGES_INTERVAL = 60.0
"""Seconds between two updates of "5 min" in the list."""
LIST_SHARE = 0.05
"""Largest share of the time for reading the list because another terminal stored something: ten
thousand chats take a seventh of a second, and a reply elsewhere changes the store all the time."""
HINTS_WIDTH = 27
"""Cells of a line below the list."""
NO_MESSAGE = "This chat has no message yet."


def deletion_words(deleted: messages.SessionDeleted) -> str:
    """Say that a chat was deleted, until it is brought back."""
    return f"“{deleted.title}” was deleted. F7 brings it back."


class Sidebar(ChatPart):
    """Finds, renames, pins, forks, deletes and restores chats; says which one was chosen."""

    def __init__(self, engine: Engine, chat: OpenChat, gallery: Gallery, clock: Clock) -> None:
        super().__init__(engine, chat)
        self._gallery = gallery
        self._clock = clock
        self._searched = ""
        self.list = SessionList(clock)
        # a browser opens a window of its own at ctrl+n
        key = "/new" if os.environ.get("TEXTUAL_DRIVER") else "ctrl+n"
        self._new = NewChat(engine.model.settings.keys.get("new_session", key))
        self._hints = Static(classes="hints")
        self._hints.display = False
        self._readings = count(1)
        self._listed = 0
        """The reading that is shown: threads do not end in the order in which they began."""
        self._listed_at = self._listing_s = 0.0
        """Time of the last reading of the list, and the seconds that it took."""
        self._deleted: list[tuple[messages.SessionDeleted, bool]] = []
        """Sessions that can be restored, the newest last, and whether each was open."""

    def compose(self) -> ComposeResult:
        brand = Content.assemble(("φ", "bold $primary"), (" phichat", "bold"))
        yield Static(brand, classes="brand")
        yield self._new
        yield self.list
        empty = Static(Content("No chats yet."), classes="empty")
        empty.display = False  # until the chats were read
        yield empty
        yield self._hints

    def on_mount(self) -> None:
        self.set_interval(AGES_INTERVAL, self.list.refresh)
        self.watch(self.list, "highlighted", self.show_hints, init=False)

    @on(NewChat.Pressed)
    def _begin_new(self) -> None:
        self.post_message(messages.NewWanted())

    def show_hints(self) -> None:
        """Show what keys do below the list while it has the focus, as its chats are now."""
        self._hints.display = self.list.has_focus
        if self.list.has_focus:
            rebound = self._engine.model.settings.keys
            hints = hints_of(keys_of(self.list.current), rebound)
            self._hints.update(in_lines(hints, HINTS_WIDTH))

    # The list

    def name_of(self, session_id: str) -> str:
        """Return the title of a listed chat, short enough for a sentence."""
        return one_line(self.list.title_of(session_id), 40) or "Untitled"

    def list_sessions(self) -> None:
        """Read the list again, in a thread."""
        self.in_thread(self._read_sessions)

    def may_list(self) -> bool:
        """Return whether the list may be read again for the sake of another terminal."""
        return monotonic() - self._listed_at >= self._listing_s / LIST_SHARE

    def _read_sessions(self) -> Message:
        reading = next(self._readings)
        begin = thread_time()
        sessions = tuple(self._engine.store.sessions(ALL))
        self._listing_s, self._listed_at = thread_time() - begin, monotonic()
        return messages.SessionsListed(reading, sessions)

    @on(messages.SessionsListed)
    def _show_sessions(self, event: messages.SessionsListed) -> None:
        if event.reading > self._listed:  # else a later reading is shown already
            self._listed = event.reading
            self.list.show(event.sessions, self._chat.session_id)
            self.query_one(".empty", Static).display = not event.sessions
            self.show_hints()

    @on(SessionList.Pressed)
    def _act(self, event: SessionList.Pressed) -> None:
        event.stop()
        match event.action:
            case "rename":
                self.rename(event.session_id)
            case "pin":
                self._pin(event.session_id)
            case "fork":
                self.fork(event.session_id)
            case "delete":
                self.delete(event.session_id)
            case "new":
                self.post_message(messages.NewWanted())
            case "search":
                self.action_search()
            case "leave":
                self.post_message(messages.ListLeft())
            case _:
                self.post_message(messages.SessionChosen(event.session_id))

    # Pages of all chats

    def action_switch_session(self) -> None:
        """Show the palette with the chats alone."""
        self.open_page(SessionPalette())

    def action_search(self, words: str = "") -> None:
        """Search all chats, and go to what was found."""
        search = SearchScreen(self._engine, self._clock, words or self._searched)

        def closed(hit: SearchHit | None) -> None:
            self._searched = search.words
            if hit is not None:
                self.post_message(messages.SessionChosen(hit.session_id, hit.turn_id))

        self.open_page(search, closed)

    def action_show_pictures(self, words: str = "") -> None:
        """Show all pictures of all chats; go to one, or have it attached in the open chat."""
        from tui.pages.pictures import PictureChosen, PicturesScreen  # not for the first paint

        def closed(chosen: PictureChosen | None) -> None:
            if chosen is not None and chosen.attach:
                self.post_message(messages.PictureReused(chosen.shown))
            elif chosen is not None:
                shown = chosen.shown
                self.post_message(messages.SessionChosen(shown.session_id, shown.turn_id))

        self.open_page(PicturesScreen(self._engine, self._gallery, self._clock, words), closed)

    def action_show_shared(self) -> None:
        """Show the chats that other users share; open a copy that was taken of one."""
        from tui.pages.shared import SharedScreen  # not for the first paint

        def closed(copy: str | None) -> None:
            if copy is not None:
                self.post_message(messages.SessionChosen(copy))

        self.open_page(SharedScreen(self._engine, self._gallery, self._clock), closed)

    # The open chat

    def action_rename_session(self, title: str = "") -> None:
        """Rename the open chat; without a title, ask for one."""
        if session_id := self._open():
            self.rename(session_id, title)

    def action_pin_session(self) -> None:
        """Keep the open chat on top of the list, or no longer."""
        if session_id := self._open():
            self._pin(session_id)

    def action_fork_session(self) -> None:
        """Copy the open chat into a new one."""
        if session_id := self._open():
            self.fork(session_id, self._chat.last_turn_id)

    def action_delete_session(self) -> None:
        """Delete the open chat."""
        if session_id := self._open():
            self.delete(session_id)

    def action_bring_back_session(self) -> None:
        """Undo the last deletion, then the one before."""
        if not self._deleted:
            self.tell("There is no chat to bring back.")
            return
        deleted, was_open = self._deleted.pop()

        def restore() -> Message:
            self._engine.store.restore(deleted.session_id)
            return messages.SessionRestored(deleted, was_open)

        self.in_thread(restore)

    def _open(self) -> str | None:
        if self._chat.session_id is None:
            self.refuse(NO_MESSAGE)
        return self._chat.session_id

    # Any chat

    def rename(self, session_id: str, title: str = "") -> None:
        """Rename a chat; without ``title``, ask for one."""
        old = self.list.title_of(session_id)
        if new := one_line(title):
            self._rename(session_id, old, new)
        else:
            self.open_page(RenameScreen(old), partial(self._rename, session_id, old))

    def _rename(self, session_id: str, old: str, new: str | None) -> None:
        if new and new != old:
            self._change(lambda: self._engine.store.rename(session_id, new))

    def _pin(self, session_id: str) -> None:
        pinned = not self.list.is_pinned(session_id)
        self.tell("The chat stays on top." if pinned else "The chat is no longer pinned.")
        self._change(lambda: self._engine.store.set_pinned(session_id, pinned))

    def fork(self, session_id: str, turn_id: str | None = None) -> None:
        """Copy a chat, up to a turn or its end, into a new one."""
        self.in_thread(lambda: messages.SessionForked(self._engine.store.fork(session_id, turn_id)))

    def delete(self, session_id: str) -> None:
        """Delete a chat; :meth:`action_bring_back_session` undoes it."""
        title = self.name_of(session_id)
        if self._chat.answers(session_id):
            self.tell(f"A reply is being written in “{title}”; stop it with esc first.")
            return

        def delete() -> Message:
            self._engine.delete(session_id)
            return messages.SessionDeleted(session_id, title)

        self.in_thread(delete)

    def note_deleted(self, event: messages.SessionDeleted, *, was_open: bool) -> None:
        """Say that a chat was deleted, and remember it if this terminal can restore it."""
        if event.title:
            self._deleted.append((event, was_open))
            self.tell(deletion_words(event))
        else:
            self.tell("The chat that was open was deleted in another terminal.")

    def _change(self, change: Callable[[], None]) -> None:
        def job() -> Message:
            change()
            return self._read_sessions()

        self.in_thread(job)
