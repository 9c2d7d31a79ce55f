"""Dialog to choose one of a few actions or things."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content

from assistant.values.text import one_line
from tui.pages.dialog import ChoiceDialog


class ChooseScreen(ChoiceDialog[int | None]):
    """Dialog that returns the place of the chosen row, or None."""

    def __init__(self, title: str, rows: Sequence[Content], keys: Sequence[str] = ()) -> None:
        """``keys`` choose too: one for each row."""
        super().__init__(one_line(title, 60), rows)
        self._keys = keys

    def result(self, place: int) -> int | None:
        return place

    def on_key(self, event: events.Key) -> None:
        if event.key in self._keys:
            event.stop()
            self.dismiss(self._keys.index(event.key))
