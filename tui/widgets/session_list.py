"""The list of chats: newest first, with picture counts and how long ago."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.conversation import SessionSummary
from assistant.plain_text import one_line
from tui.commands import LIST_KEYS
from tui.text import ago, counted

TITLE_WIDTH = 26

Clock = Callable[[], datetime]


class SessionOptions(OptionList):
    """The rows; ``delete`` asks to delete the highlighted one."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in LIST_KEYS]

    @dataclass
    class DeletePressed(Message):
        """The delete key was pressed on a row."""

        session_id: str

    def action_delete(self) -> None:
        """Tell which chat shall go."""
        if self.highlighted is not None:
            option = self.get_option_at_index(self.highlighted)
            if option.id is not None:
                self.post_message(self.DeletePressed(option.id))


class SessionList(Vertical):
    """Every chat, the open one marked."""

    @dataclass
    class Chosen(Message):
        """A chat was chosen."""

        session_id: str

    @dataclass
    class DeleteRequested(Message):
        """A chat shall be deleted (the screen asks first)."""

        session_id: str

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._summaries: tuple[SessionSummary, ...] = ()
        self._open: str | None = None

    def compose(self) -> ComposeResult:
        """The name of the app above the rows."""
        yield Static(
            Content.assemble(("φ", "bold $primary"), (" phichat", "bold")), classes="brand"
        )
        yield SessionOptions(markup=False)
        yield Static(Content("No chats yet."), classes="empty")

    def title_of(self, session_id: str) -> str:
        """The title of a listed chat."""
        titles = (item.title for item in self._summaries if item.id == session_id)
        return next(titles, "")

    def show(self, summaries: Sequence[SessionSummary], open_id: str | None) -> None:
        """Show these chats, ``open_id`` marked; the highlighted row keeps its place."""
        if tuple(summaries) != self._summaries or open_id != self._open:
            self._summaries, self._open = tuple(summaries), open_id
            self._fill()

    def refresh_ages(self) -> None:
        """Say anew how long ago each chat was."""
        self._fill()

    def _fill(self) -> None:
        options = self.query_one(SessionOptions)
        kept = None
        if options.highlighted is not None:
            kept = options.get_option_at_index(options.highlighted).id
        options.clear_options()
        options.add_options([Option(self._row(item), id=item.id) for item in self._summaries])
        ids = [item.id for item in self._summaries]
        wanted = kept if kept in ids and options.has_focus else self._open
        options.highlighted = ids.index(wanted) if wanted in ids else None
        options.display = bool(ids)
        self.query_one(".empty", Static).display = not ids

    def mark_open(self, session_id: str | None) -> None:
        """Mark another chat as the open one."""
        self.show(self._summaries, session_id)

    def _row(self, item: SessionSummary) -> Content:
        is_open = item.id == self._open
        title = one_line(item.title, TITLE_WIDTH) or "Untitled"
        facts = [ago(item.updated, self._clock())]
        if item.pictures:
            facts.insert(0, counted(item.pictures, "picture"))
        return Content.assemble(
            ("▌ " if is_open else "  ", "$primary"),
            (title, "bold" if is_open else ""),
            ("\n▌ " if is_open else "\n  ", "$primary"),
            (" · ".join(facts), "$phi-quiet"),
        )

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id is not None:
            self.post_message(self.Chosen(event.option.id))

    @on(SessionOptions.DeletePressed)
    def _request_delete(self, event: SessionOptions.DeletePressed) -> None:
        event.stop()
        self.post_message(self.DeleteRequested(event.session_id))
