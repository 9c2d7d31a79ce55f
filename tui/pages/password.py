"""Dialog for the password of a document."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from assistant.values.text import one_line
from tui.pages.dialog import TypingGoesToField, frame
from tui.textual_fixes import GuardedDialog

KEPT = "It is not kept. Pages that you attach are, as pictures without it."


class PasswordScreen(TypingGoesToField, GuardedDialog[str]):
    """Dialog that returns the password, or "" to leave the document."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Leave it", show=False)
    ]

    def __init__(self, name: str, *, again: bool = False) -> None:
        """Ask for the password of ``name``, with ``again`` because what was typed is not it."""
        super().__init__()
        self._heading = f"{one_line(name, 40)} needs a password"
        self._words = f"That is not it. {KEPT}" if again else KEPT

    def compose(self) -> ComposeResult:
        with frame(self._heading, "enter opens it · esc back"):
            yield Static(Content(self._words), classes="question")
            yield Input(password=True, compact=True)

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)
