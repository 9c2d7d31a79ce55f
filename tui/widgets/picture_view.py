"""One picture of a turn: its number and facts, and the picture in reading size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import Picture, PictureFile
from assistant.values.text import one_line
from tui.terminal.detect import PictureProtocol
from tui.terminal.half_blocks import MOST_COLUMNS, MOST_ROWS
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing

MOST_OF_A_NAME = 40

Draw = Callable[[Picture | PictureFile, Gallery, int, int], PictureDrawing]
"""Makes the drawing of a picture in at most so many columns and rows."""


class PictureView(Vertical):
    """A picture with its session number, its name and its size in pixels."""

    @dataclass
    class Opened(Message):
        """The picture was clicked: it shall be shown large."""

        number: int

    def __init__(
        self,
        picture: Picture,
        gallery: Gallery,
        columns: int = MOST_COLUMNS,
        rows: int = MOST_ROWS,
        *,
        file: PictureFile | None = None,
        draw: Draw = PictureDrawing,
    ) -> None:
        """Show ``picture`` in at most ``columns`` x ``rows`` cells; one not sent is in ``file``."""
        super().__init__(classes="-words" if gallery.protocol is PictureProtocol.TEXT else None)
        self.picture = picture
        self._gallery = gallery
        self._columns, self._rows = columns, rows
        self._file = file
        self._draw = draw

    def compose(self) -> ComposeResult:
        yield Static(self.label(), classes="label")
        if self._gallery.protocol is not PictureProtocol.TEXT:
            shown = self._file or self.picture
            yield self._draw(shown, self._gallery, self._columns, self._rows)

    def label(self) -> Content:
        """Return ``Picture 3 · name.png · 640×480``, in brackets where nothing is drawn."""
        picture = self.picture
        name = one_line(picture.name, MOST_OF_A_NAME)
        if self._gallery.protocol is PictureProtocol.TEXT:
            size = f"{picture.width}x{picture.height}"
            return Content(f"[picture {picture.number}: {name} {size}]")
        if (region := picture.region) is not None and region.number:
            name = f"part of picture {region.number} at {region.left},{region.top}"
        return Content.assemble(
            (f"Picture {picture.number}", "bold"),
            (f" · {name} · {picture.width}×{picture.height}", "$phi-quiet"),
        )

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Opened(self.picture.number))

    @on(PictureDrawing.Undrawable)
    def _explain(self, event: PictureDrawing.Undrawable) -> None:
        event.stop()
        self.query_one(PictureDrawing).display = False
        label = Content.assemble(self.label(), (f"\n{one_line(event.reason)}", "$error"))
        self.query_one(".label", Static).update(label)
