"""Asks to choose one of a few things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from tui.keys import CHOICE_KEYS
from tui.pages.guarded import Dialog


class ChooseScreen(Dialog[int | None]):
    """Returns the place of what was chosen, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in CHOICE_KEYS if key.action]

    def __init__(self, title: str, rows: Sequence[Content], keys: Sequence[str] = ()) -> None:
        """``keys`` choose too: one for each row."""
        super().__init__()
        self._keys = keys
        self._heading = one_line(title, 60)
        self._rows = rows

    def compose(self) -> ComposeResult:
        """One row each."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._heading)
            dialog.border_subtitle = "enter chooses · esc leaves it"
            yield OptionList(*[Option(row) for row in self._rows])

    def on_key(self, event: events.Key) -> None:
        """A row's own key chooses it."""
        if event.key in self._keys:
            event.stop()
            self.dismiss(self._keys.index(event.key))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_index)
