"""Dialog to choose one of a few actions or things."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content

from assistant.values.text import one_line
from tui.pages.dialog import ChoiceDialog
from tui.widgets.typed_together import is_text

_PAUSE_S = 0.1
"""Seconds without a letter, after which the next one is a key again."""


class ChooseScreen(ChoiceDialog[int | None]):
    """Dialog that returns the place of the chosen row, or None."""

    def __init__(self, title: str, rows: Sequence[Content], keys: Sequence[str] = ()) -> None:
        """``keys`` choose too: one for each row."""
        super().__init__(one_line(title, 60), rows)
        self._keys = keys
        self._is_typed = False

    def _end_text(self) -> None:
        self._is_typed = False

    def result(self, place: int) -> int | None:
        return place

    def on_key(self, event: events.Key) -> None:
        # a text that was typed over the dialog chooses nothing
        if event.is_printable and (self._is_typed or is_text(self, event, self._keys)):
            self._is_typed = True
            event.stop()
            event.prevent_default()
            self.set_timer(_PAUSE_S, self._end_text, name="end of a text")
        elif event.key in self._keys:
            event.stop()
            self.dismiss(self._keys.index(event.key))
