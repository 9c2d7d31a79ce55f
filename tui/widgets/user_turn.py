"""What a person said, with the pictures of that turn."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import ItemGrid, Vertical
from textual.content import Content
from textual.widgets import Static

from assistant.conversation import Turn
from assistant.plain_text import plain
from tui.gallery import Gallery
from tui.halfcell import MOST_COLUMNS
from tui.widgets.picture_view import PictureView


class UserTurn(Vertical):
    """One turn of the person; the text is shown as it was typed, never as markup."""

    def __init__(self, turn: Turn, gallery: Gallery) -> None:
        super().__init__()
        self.turn = turn
        self._gallery = gallery

    def compose(self) -> ComposeResult:
        """Who speaks, the pictures, the words."""
        yield Static(Content.styled("You", "bold $primary"), classes="speaker")
        if self.turn.pictures:
            with ItemGrid(min_column_width=MOST_COLUMNS + 2, classes="pictures"):
                for picture in self.turn.pictures:
                    yield PictureView(picture, self._gallery)
        if text := plain(self.turn.text).strip("\n"):
            yield Static(Content(text), classes="words")
