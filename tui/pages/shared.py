"""Page of the chats that other users of the database share with this one, to be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.conversation import Conversation, Role, SessionSummary, Turn
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui import messages
from tui.keys import SHARED_KEYS, bindings
from tui.pages.dialog import frame
from tui.pages.engine_screen import EngineScreen
from tui.requests import Answer
from tui.widgets.gallery import Gallery
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.user_turn import UserTurn

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

KEYS = "enter reads · i takes a copy · esc back"
MOST, MOST_TURNS = 200, 200
"""Chats that are listed; turns of one that are shown, the last ones."""


class OwnersTurn(UserTurn):
    """A message of the user who shares the chat."""

    def __init__(self, turn: Turn, gallery: Gallery, owner: str) -> None:
        self._owner = owner
        super().__init__(turn, gallery)

    def _speaker(self) -> Content:
        return Content.styled(self._owner, "bold $primary")


class SharedScreen(EngineScreen[str | None]):
    """Page that returns the id of a copy that was taken, which is the user's own, or None."""

    BINDINGS: ClassVar = bindings(SHARED_KEYS)

    def __init__(self, engine: Engine, gallery: Gallery, clock: Callable[[], datetime]) -> None:
        super().__init__(engine)
        self._gallery, self._clock = gallery, clock
        self._shared_gallery: Gallery | None = None
        self._sessions: list[SessionSummary] = []
        self._owners: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        with frame("Shared with you", KEYS, kind="page"):
            yield Static("Looking …", classes="hint")
            with Horizontal():
                yield OptionList(markup=False)
                yield VerticalScroll(can_focus=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

        def look() -> Answer:
            store = self._engine.store.of_others()
            return partial(self._list, store.sessions(MOST), store.owners())

        self.in_thread(look)

    def on_unmount(self) -> None:
        if self._shared_gallery is not None:
            self._shared_gallery.close()

    def _list(self, sessions: list[SessionSummary], owners: dict[str, str]) -> None:
        self._sessions = sessions
        self._owners = {id: one_line(owner, 30) for id, owner in owners.items()}
        now, options = self._clock(), self.query_one(OptionList)
        options.add_options([Option(row(one, self._owner(one.id), now)) for one in sessions])
        options.highlighted = 0 if sessions else None
        count = counted(len(sessions), "chat") if sessions else "No chat is"
        words = f"{count} shared with you; they can be read, and copied to go on with."
        self.query_one(".hint", Static).update(Content(words))

    @on(messages.RequestRefused)
    def _explain(self, event: messages.RequestRefused) -> None:
        event.stop()
        self.query_one(".hint", Static).update(Content(one_line(event.reason, 400)))

    @on(OptionList.OptionHighlighted)
    def _read(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        chosen = self._sessions[event.option_index].id

        def read() -> Answer:
            return partial(self._show, self._engine.store.of_others().conversation(chosen))

        self.in_thread(read)

    async def _show(self, conversation: Conversation) -> None:
        if conversation.id != self._chosen:
            return
        if self._shared_gallery is None:
            self._shared_gallery = self._gallery.of(self._engine.store.of_others())
        pane, gallery = self.query_one(VerticalScroll), self._shared_gallery
        owner = self._owner(conversation.id)
        await pane.remove_children()
        await pane.mount_all(
            OwnersTurn(turn, gallery, owner) if turn.role is Role.USER else ReplyTurn(turn)
            for turn in conversation.turns[-MOST_TURNS:]
        )
        pane.scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    def _go_reading(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.query_one(VerticalScroll).focus()

    def action_back(self) -> None:
        """Go back to the list, then to the chat."""
        if self.query_one(VerticalScroll).has_focus:
            self.query_one(OptionList).focus()
        else:
            self.dismiss(None)

    def action_take(self) -> None:
        """Store a copy of the chat as the user's own."""
        chosen = self._chosen
        if chosen is None:
            return

        def take() -> Answer:
            from assistant.pictures.source import open_source  # Pillow

            store = self._engine.store
            data = "".join(store.of_others().export([chosen])).encode()
            stored = store.import_json(data, "the shared chat", open_source, copy=True)
            return partial(self._open_copy, stored.sessions[0].id)

        self.in_thread(take)

    def _open_copy(self, session_id: str) -> None:
        self.dismiss(session_id)

    def _owner(self, session_id: str) -> str:
        return self._owners.get(session_id, "another user")

    @property
    def _chosen(self) -> str | None:
        """Id of the highlighted chat."""
        place = self.query_one(OptionList).highlighted
        return None if place is None else self._sessions[place].id


def row(session: SessionSummary, owner: str, now: datetime) -> Content:
    """Return a chat's title, and below it whose it is, its length and its age."""
    about = f"{counted(session.turns, 'message')} · {ago(session.updated, now)}"
    return Content.assemble(
        (one_line(session.title, 40) or "Untitled", "bold"),
        (f"\n{owner}", "$primary"),
        (f" · {about}", "$phi-quiet"),
    )
