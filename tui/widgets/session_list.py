"""The list of chats: the pinned on top, then newest first, with picture counts and how long ago."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Static

from assistant.values.conversation import SessionSummary
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui.keys import LIST_KEYS

TITLE_WIDTH = 26
ROW_LINES = 3
"""Title, facts, a blank line."""

Clock = Callable[[], datetime]


class SessionOptions(ScrollView, can_focus=True):
    """The rows. Only those in sight are ever drawn: ten thousand cost what ten do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(key.binding() for key in LIST_KEYS),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "go(0)", show=False),
        Binding("end", "go(-1)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"session", "session--highlighted", "session--hover"}

    highlighted: reactive[int | None] = reactive(None)
    """The place of the row that the keys act on."""
    hovered: reactive[int | None] = reactive(None)
    """The place of the row below the mouse."""

    @dataclass
    class Pressed(Message):
        """A key was pressed on a row, or the row was clicked; ``action`` is what it asks for."""

        action: str
        session_id: str

    def __init__(self, draw: Callable[[SessionSummary], Content]) -> None:
        """``draw`` makes the two lines of a row."""
        super().__init__()
        self._draw_row = draw
        self.sessions: tuple[SessionSummary, ...] = ()

    def show(self, sessions: tuple[SessionSummary, ...]) -> None:
        """Show these; the highlighted row stays the same, or else at its place."""
        old = self.current
        self.sessions = sessions
        self.virtual_size = Size(self.size.width, ROW_LINES * len(sessions))
        if old is not None:
            ids = [session.id for session in sessions]
            place = ids.index(old.id) if old.id in ids else self.highlighted or 0
            self.set_reactive(SessionOptions.highlighted, self.validate_highlighted(place))
        self.refresh()

    @property
    def current(self) -> SessionSummary | None:
        """The highlighted session."""
        return None if self.highlighted is None else self.sessions[self.highlighted]

    def validate_highlighted(self, place: int | None) -> int | None:
        """Keep to the rows that there are."""
        if place is None or not self.sessions:
            return None
        return max(0, min(place, len(self.sessions) - 1))

    def watch_highlighted(self, place: int | None) -> None:
        """Bring it into sight."""
        if place is not None:
            row = Region(0, ROW_LINES * place, self.size.width, ROW_LINES)
            self.scroll_to_region(row, animate=False, force=True, immediate=True)

    def on_resize(self) -> None:
        """Rows are as wide as the list."""
        self.virtual_size = Size(self.size.width, ROW_LINES * len(self.sessions))

    def render_line(self, y: int) -> Strip:
        """One line of the row that is there."""
        place, line = divmod(y + self.scroll_offset.y, ROW_LINES)
        width = self.scrollable_content_region.width
        names = ["session"]
        if place == self.highlighted:
            names.append("session--highlighted")
        elif place == self.hovered:
            names.append("session--hover")
        style = self.get_visual_style(*names)
        if place >= len(self.sessions) or line == ROW_LINES - 1:
            return Strip([Segment(" " * width, style.rich_style)], width)
        drawn = self._draw_row(self.sessions[place])
        strips = Visual.to_strips(self, drawn, max(1, width - 1), None, style)
        return strips[line].adjust_cell_length(width, style.rich_style)

    def action_move(self, by: int) -> None:
        """Highlight a row above or below."""
        self.highlighted = 0 if self.highlighted is None else self.highlighted + by

    def action_page(self, by: int) -> None:
        """Go up or down by what is in sight."""
        self.action_move(by * max(1, self.size.height // ROW_LINES))

    def action_go(self, place: int) -> None:
        """Go to the first row, or the last (-1)."""
        self.highlighted = place % max(1, len(self.sessions))

    def action_select(self) -> None:
        """Open the chat."""
        self._act("select")

    def action_rename(self) -> None:
        """Rename the chat."""
        self._act("rename")

    def action_pin(self) -> None:
        """Pin the chat, or no longer."""
        self._act("pin")

    def action_fork(self) -> None:
        """Fork the chat."""
        self._act("fork")

    def action_delete(self) -> None:
        """Delete the chat."""
        self._act("delete")

    def _act(self, action: str) -> None:
        if self.current is not None:
            self.post_message(self.Pressed(action, self.current.id))

    async def on_click(self, event: events.Click) -> None:
        if (place := self._place_at(event)) is not None:
            self.highlighted = place
            self._act("select")

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self.hovered = self._place_at(event)

    def on_focus(self) -> None:
        """Some row is there for the keys."""
        if self.highlighted is None:
            self.highlighted = 0

    def on_leave(self, event: events.Leave) -> None:
        self.hovered = None

    def _place_at(self, event: events.MouseEvent) -> int | None:
        place = int(event.y + self.scroll_offset.y) // ROW_LINES
        return place if place < len(self.sessions) else None


class SessionList(Vertical):
    """Every chat, the open one marked."""

    @dataclass
    class Chosen(Message):
        """A chat was chosen, for an ``action`` of :data:`LIST_KEYS`."""

        action: str
        session_id: str

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._summaries: dict[str, SessionSummary] = {}
        self._open: str | None = None

    def compose(self) -> ComposeResult:
        """The name of the app above the rows."""
        yield Static(
            Content.assemble(("φ", "bold $primary"), (" phichat", "bold")), classes="brand"
        )
        yield SessionOptions(self._row)
        empty = Static(Content("No chats yet."), classes="empty")
        empty.display = False  # until the chats were read
        yield empty

    def title_of(self, session_id: str) -> str:
        """The title of a listed chat."""
        found = self._summaries.get(session_id)
        return found.title if found is not None else ""

    def is_pinned(self, session_id: str) -> bool:
        """Whether a listed chat is pinned."""
        found = self._summaries.get(session_id)
        return found is not None and found.pinned

    def show(self, summaries: Sequence[SessionSummary], open_id: str | None) -> None:
        """Show these chats, ``open_id`` marked; the highlighted row keeps its place."""
        self._summaries = {item.id: item for item in summaries}
        options = self.query_one(SessionOptions)
        options.show(tuple(summaries))
        options.display = bool(summaries)
        self.query_one(".empty", Static).display = not summaries
        if open_id != self._open or options.highlighted is None:
            self.mark_open(open_id)

    def mark_open(self, session_id: str | None) -> None:
        """Mark another chat as the open one."""
        self._open = session_id
        options = self.query_one(SessionOptions)
        places = (i for i, item in enumerate(options.sessions) if item.id == session_id)
        place = next(places, None)
        if place is not None or not options.has_focus:
            options.highlighted = place
        options.refresh()

    def refresh_ages(self) -> None:
        """Say anew how long ago each chat was."""
        self.query_one(SessionOptions).refresh()

    def _row(self, item: SessionSummary) -> Content:
        is_open = item.id == self._open
        star = "★ " if item.pinned else ""
        room = TITLE_WIDTH - len(star)
        end = " (fork)" if item.title.endswith(" (fork)") else ""  # what tells it from the other
        words = Content(one_line(item.title.removesuffix(end)) or "Untitled")
        title = words.truncate(room - len(end), ellipsis=True).append(end)
        facts = [ago(item.updated, self._clock())]
        if item.pictures:
            facts.insert(0, counted(item.pictures, "picture"))
        edge = ("▌ " if is_open else "  ", "$primary")
        return Content.assemble(
            edge,
            (star, "$warning"),
            title.stylize("bold") if is_open else title,
            "\n",
            edge,
            (" · ".join(facts), "$phi-quiet"),
        )

    @on(SessionOptions.Pressed)
    def _choose(self, event: SessionOptions.Pressed) -> None:
        event.stop()
        self.post_message(self.Chosen(event.action, event.session_id))
