"""Asks for a chat's new title."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from assistant.values.text import one_line
from tui.pages.guarded import Dialog
from tui.pages.typing import type_into


class RenameScreen(Dialog[str]):
    """Returns the new title, or "" to keep the old one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Leave it", show=False)
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._old_title = one_line(title)

    def compose(self) -> ComposeResult:
        """The title to change."""
        with Vertical(classes="dialog"):
            yield Static("Title of this chat", classes="question", markup=False)
            yield Input(self._old_title, compact=True)
            yield Static("enter keeps it · esc leaves the old one", classes="hint", markup=False)

    def on_key(self, event: events.Key) -> None:
        """Typing goes to the line, wherever the focus is."""
        type_into(self.query_one(Input), event)

    @on(Input.Submitted)
    def _rename(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(one_line(event.value))
