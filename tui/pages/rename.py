"""Dialog for a chat's new title."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from assistant.values.text import one_line
from tui.pages.dialog import TypingGoesToField, frame
from tui.textual_fixes import GuardedDialog


class RenameScreen(TypingGoesToField, GuardedDialog[str]):
    """Dialog that returns the new title, or "" to keep the old one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Leave it", show=False)
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._old_title = one_line(title)

    def compose(self) -> ComposeResult:
        with frame("Title of this chat", "enter keeps it · esc back"):
            yield Input(self._old_title, compact=True)

    @on(Input.Submitted)
    def _rename(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(one_line(event.value))
