"""Asks for a text of several lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from assistant.values.text import plain
from tui.keys import WRITE_KEYS
from tui.pages.guarded import Dialog


class WriteScreen(Dialog[str | None]):
    """Returns the text, or None when it was left as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding(priority=True) for key in WRITE_KEYS]

    def __init__(self, title: str, text: str, hint: str) -> None:
        super().__init__()
        self._heading = title
        self._text = plain(text)
        self._hint = hint

    def compose(self) -> ComposeResult:
        """The text to change."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._heading), classes="question")
            yield TextArea(self._text, soft_wrap=True, tab_behavior="focus")
            yield Static(Content(self._hint), classes="hint")

    def action_keep(self) -> None:
        """Return what is written."""
        self.dismiss(self.query_one(TextArea).text)
