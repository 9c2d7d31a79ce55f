"""Dialog for a text of several lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import TextArea

from assistant.values.text import plain
from tui.keys import WRITE_KEYS
from tui.pages.dialog import TypingGoesToField, frame
from tui.textual_fixes import GuardedDialog


class WriteScreen(TypingGoesToField, GuardedDialog[str | None]):
    """Dialog that returns the text, or None when it was left as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding(priority=True) for key in WRITE_KEYS]

    def __init__(self, title: str, text: str, hint: str) -> None:
        super().__init__()
        self._heading = title
        self._text = plain(text)
        self._hint = hint

    def compose(self) -> ComposeResult:
        with frame(self._heading, self._hint):
            yield TextArea(self._text, soft_wrap=True, tab_behavior="focus")

    def action_keep(self) -> None:
        self.dismiss(self.query_one(TextArea).text)
