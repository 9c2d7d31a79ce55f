"""Turn of the user: its pictures and its text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.app import ComposeResult
from textual.containers import ItemGrid, Vertical
from textual.content import Content
from textual.widgets import Static

from assistant.values.conversation import Picture, Turn, TurnKind
from assistant.values.text import plain
from tui.terminal.half_blocks import MOST_COLUMNS
from tui.widgets.completion import REFERENCE
from tui.widgets.gallery import Gallery
from tui.widgets.parts_drawing import PartsDrawing, parts_of
from tui.widgets.picture_view import PictureView
from tui.widgets.turn_head import TurnClicked, TurnHead

LINKED = "bold $primary"
"""Style of ``#3`` in a text."""


class UserTurn(Vertical):
    """Shows the text as it was typed, never as markup."""

    def __init__(self, turn: Turn, gallery: Gallery, pictures: Iterable[Picture] = ()) -> None:
        """Show ``turn``; those of ``pictures`` that are parts of its own are framed there."""
        super().__init__(classes=turn.kind.value)
        self.turn = turn
        self._parts = [parts_of(one, pictures) for one in turn.pictures]
        self._gallery = gallery
        self.head = TurnHead(self._speaker(), turn)
        self.set_class(turn.excluded, "excluded")

    def compose(self) -> ComposeResult:
        yield self.head
        if self.turn.pictures:
            with ItemGrid(min_column_width=MOST_COLUMNS + 2, classes="pictures"):
                for picture, parts in zip(self.turn.pictures, self._parts, strict=True):
                    draw = partial(PartsDrawing, parts=parts)
                    yield PictureView(picture, self._gallery, draw=draw)
        if text := plain(self.turn.text).strip("\n"):
            yield Static(Content(text).highlight_regex(REFERENCE, style=LINKED), classes="words")

    def show(self, turn: Turn) -> None:
        """Show the turn with its present marks."""
        self.turn = turn
        self.set_class(turn.excluded, "excluded")
        self.head.show(self._speaker(), turn)

    def on_click(self) -> None:
        self.post_message(TurnClicked(self.turn.id))

    def _speaker(self) -> Content:
        if self.turn.kind is TurnKind.RECALL:
            return Content.styled("❝ Recalled", "bold $accent")
        return Content.styled("You", "bold $primary")
