"""List of chats: the pinned on top, then the newest, each with its picture count and age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from assistant.values.conversation import SessionSummary
from assistant.values.text import one_line
from assistant.values.words import ago, counted
from tui.keys import LIST_KEYS, UNPIN, Key
from tui.widgets.typed_together import is_text

TITLE_WIDTH = 26
ROW_LINES = 3
"""Title, facts, a blank line."""

WITHOUT_ROW = {"new", "leave", "search"}
"""Actions that concern no chat of the list."""

_LETTERS = {"j", "k", "g", "G", *(key.keys for key in LIST_KEYS if len(key.shown) == 1)}
"""Keys of the list that are letters."""

Clock = Callable[[], datetime]


def keys_of(session: SessionSummary | None) -> tuple[Key, ...]:
    """Return the keys of the list as they are for this chat: one that is pinned can be unpinned."""
    pinned = session is not None and session.pinned
    return tuple(UNPIN if pinned and key.action == "pin" else key for key in LIST_KEYS)


class SessionList(ScrollView, can_focus=True):
    """Draws only the rows in sight, so ten thousand chats cost what ten do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(key.binding(through="press") for key in LIST_KEYS),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "go(0)", show=False),
        Binding("end,G", "go(-1)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"session", "session--highlighted", "session--hover"}

    highlighted: reactive[int | None] = reactive(None)
    """The place of the row that the keys act on."""
    hovered: reactive[int | None] = reactive(None)
    """The place of the row below the mouse."""

    @dataclass
    class Typed(Message):
        """A text was typed here, with keys of the list in it."""

        text: str

    @dataclass
    class Pressed(Message):
        """A key was pressed on a row, or the row was clicked; ``action`` is what it asks for."""

        action: str
        session_id: str

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._open: str | None = None
        self._is_left = False
        """A text is typed: letters that follow are of it, before the focus has moved."""
        self.sessions: tuple[SessionSummary, ...] = ()

    def show(self, sessions: tuple[SessionSummary, ...], open_id: str | None) -> None:
        """Show these, ``open_id`` marked; the same row stays highlighted, or else its place."""
        old = self.current
        self.sessions = sessions
        self.virtual_size = Size(self.size.width, ROW_LINES * len(sessions))
        self.display = bool(sessions)
        if old is not None:
            place = self._place_of(old.id)
            kept = (self.highlighted or 0) if place is None else place
            self.set_reactive(SessionList.highlighted, self.validate_highlighted(kept))
        self.refresh()
        if open_id != self._open or self.highlighted is None:
            self.mark_open(open_id)

    def mark_open(self, session_id: str | None) -> None:
        """Mark another chat as the open one."""
        self._open = session_id
        place = self._place_of(session_id)
        if place is not None or not self.has_focus:
            self.highlighted = place
        self.refresh()

    def title_of(self, session_id: str) -> str:
        """Return the title of a listed chat, else ""."""
        place = self._place_of(session_id)
        return "" if place is None else self.sessions[place].title

    def is_pinned(self, session_id: str) -> bool:
        """Return whether a listed chat is pinned."""
        place = self._place_of(session_id)
        return place is not None and self.sessions[place].pinned

    def _place_of(self, session_id: str | None) -> int | None:
        places = (i for i, session in enumerate(self.sessions) if session.id == session_id)
        return next(places, None)

    @property
    def current(self) -> SessionSummary | None:
        """The highlighted session."""
        return None if self.highlighted is None else self.sessions[self.highlighted]

    def validate_highlighted(self, place: int | None) -> int | None:
        """Clamp to the rows of the list."""
        if place is None or not self.sessions:
            return None
        return max(0, min(place, len(self.sessions) - 1))

    def watch_highlighted(self, place: int | None) -> None:
        if place is not None:
            row = Region(0, ROW_LINES * place, self.size.width, ROW_LINES)
            self.scroll_to_region(row, animate=False, force=True, immediate=True)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, ROW_LINES * len(self.sessions))
        self.watch_highlighted(self.highlighted)  # its keys, shown below it, take rows

    def render_line(self, y: int) -> Strip:
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
        drawn = self._row(self.sessions[place])
        strips = Visual.to_strips(self, drawn, max(1, width - 1), None, style)
        return strips[line].adjust_cell_length(width, style.rich_style)

    def action_move(self, by: int) -> None:
        """Highlight a row above or below."""
        self.highlighted = 0 if self.highlighted is None else self.highlighted + by

    def action_page(self, by: int) -> None:
        """Highlight the row a page above or below."""
        self.action_move(by * max(1, self.size.height // ROW_LINES))

    def action_go(self, place: int) -> None:
        """Highlight the first row, or the last (-1)."""
        self.highlighted = place % max(1, len(self.sessions))

    def action_press(self, action: str) -> None:
        """Say that a key was pressed; it is about the highlighted row, if there is one."""
        if self.current is not None or action in WITHOUT_ROW:
            self.post_message(self.Pressed(action, self.current.id if self.current else ""))

    async def on_click(self, event: events.Click) -> None:
        if (place := self._place_at(event)) is not None:
            self.highlighted = place
            self.action_press("select")

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self.hovered = self._place_at(event)

    def on_key(self, event: events.Key) -> None:
        # what is no key of the list is text, and so is what came together with it
        text = (event.character or "") if event.is_printable else ""
        if text and (self._is_left or event.key not in _LETTERS or is_text(self, event, _LETTERS)):
            event.stop()
            event.prevent_default()
            self._is_left = True
            self.post_message(self.Typed(text))

    def on_focus(self) -> None:
        self._is_left = False
        if self.highlighted is None:
            self.highlighted = 0

    def on_leave(self, event: events.Leave) -> None:
        self.hovered = None

    def _place_at(self, event: events.MouseEvent) -> int | None:
        place = int(event.y + self.scroll_offset.y) // ROW_LINES
        return place if place < len(self.sessions) else None

    def _row(self, item: SessionSummary) -> Content:
        is_open = item.id == self._open
        star = "★ " if item.pinned else ""
        room = TITLE_WIDTH - len(star)
        end = " (fork)" if item.title.endswith(" (fork)") else ""  # tells it from the original
        words = Content(one_line(item.title.removesuffix(end)) or "Untitled")
        title = words.truncate(room - len(end), ellipsis=True).append(end)
        facts = ["damaged" if item.damaged else ago(item.updated, self._clock())]
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
