"""Base classes and parts of pages and dialogs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from tui.keys import CHOICE_KEYS, bindings
from tui.textual_fixes import GuardedDialog, ResultT
from tui.widgets.hints import GAP

EDGES = 6
"""Cells of the lower edge that are no hint: corners, lines and blanks."""


class Frame:
    """Mixin of frames: hints are whole or left out, and the last one, which leads back, stays."""

    _hints = ""

    def show_hints(self, words: str) -> None:
        self._hints = words
        self.on_resize()

    def on_resize(self) -> None:
        widget = cast("Widget", self)
        room = widget.outer_size.width - EDGES
        widget.border_subtitle = whole_hints(self._hints, room)


class _Frame(Frame, Vertical):
    pass


class _ScrollingFrame(Frame, VerticalScroll):
    pass


def whole_hints(words: str, room: int) -> Content:
    """Return as many of the hints, parted by dots, as ``room`` cells hold."""
    *kept, last = words.split(GAP)
    while kept and cell_len(GAP.join([*kept, last])) > room:
        kept.pop()
    return Content(GAP.join([*kept, last]))


def frame(
    title: str = "", subtitle: str = "", *, kind: str = "dialog", scrolls: bool = False
) -> Vertical | VerticalScroll:
    """Make the framed container of a dialog or of a ``page``, the two kinds of style."""
    made = (_ScrollingFrame if scrolls else _Frame)(classes=kind)
    made.border_title = Content(one_line(title))
    made.show_hints(subtitle)
    return made


class TypingGoesToField:
    """Mixin of screens with one field, which gets letters wherever the focus is.

    Letters that are typed right after the key of a page come before its field has the focus.
    No subclass of a widget, because Textual takes styles and components from the first of those.
    """

    def on_key(self, event: events.Key) -> None:
        screen = cast("Screen[object]", self)
        field, focused = screen.query_one("Input, TextArea"), screen.focused
        # A blank means something of its own in lists and trees.
        taken = event.character == " " and focused not in (None, field)
        if event.is_printable and not taken:
            event.stop()
            screen.set_focus(field)
            field.post_message(events.Key(event.key, event.character))


class ChoiceDialog(GuardedDialog[ResultT]):
    """Dialog to choose one row of a list."""

    BINDINGS: ClassVar = bindings(CHOICE_KEYS, vi=True)

    def __init__(
        self,
        title: str,
        rows: Sequence[Content],
        *,
        question: Content | None = None,
        marked: int = 0,
    ) -> None:
        """Highlight the row ``marked`` at first."""
        super().__init__()
        self._heading = title
        self._rows = rows
        self._question = question
        self._marked = marked

    def result(self, place: int) -> ResultT:
        """Return the result of choosing a row."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with frame(self._heading, "enter chooses · esc back"):
            if self._question is not None:
                yield Static(self._question, classes="question")
            options = OptionList(*map(Option, self._rows))
            options.highlighted = self._marked
            yield options

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.result(event.option_index))
