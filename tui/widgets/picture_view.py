"""One picture of a turn: its number and facts, and the picture in reading size."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.values.conversation import Picture
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from tui.terminal.detect import PictureProtocol
from tui.terminal.half_blocks import MOST_COLUMNS, MOST_ROWS
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Drawn, Gallery, Key

log = logging.getLogger(__name__)

MOST_OF_A_NAME = 40
REST_S = 0.3
"""Seconds without a change of the layout after which Sixel pictures are drawn."""


class PictureView(Vertical):
    """A picture with its session number, its name and its size in pixels.

    The file is read and decoded in a thread, and only when the view is mounted.
    """

    @dataclass
    class Finished(Message):
        """The picture was decoded and drawn."""

        key: Key
        drawn: Drawn

    @dataclass
    class Undrawable(Message):
        """The picture couldn't be read from the database or decoded."""

        reason: str

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
    ) -> None:
        """Show ``picture`` in at most ``columns`` x ``rows`` cells."""
        super().__init__(classes="-words" if gallery.protocol is PictureProtocol.TEXT else None)
        self.picture = picture
        self._gallery = gallery
        self._key = gallery.key(picture, columns, rows)

    def compose(self) -> ComposeResult:
        yield Static(self.label(), classes="label")
        if self._gallery.protocol is not PictureProtocol.TEXT:
            _, columns, rows = self._key
            yield Drawing(columns, rows)

    def label(self) -> Content:
        """Return ``Picture 3 · name.png · 640×480``, in brackets where nothing is drawn."""
        picture = self.picture
        name = one_line(picture.name, MOST_OF_A_NAME)
        if self._gallery.protocol is PictureProtocol.TEXT:
            size = f"{picture.width}x{picture.height}"
            return Content(f"[picture {picture.number}: {name} {size}]")
        return Content.assemble(
            (f"Picture {picture.number}", "bold"),
            (f" · {name} · {picture.width}×{picture.height}", "$phi-quiet"),
        )

    def on_mount(self) -> None:
        if self._gallery.protocol is PictureProtocol.TEXT:
            return
        if (drawn := self._gallery.kept(self._key)) is not None:
            self.query_one(Drawing).show(drawn)
        else:
            self._draw()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Opened(self.picture.number))

    @work(thread=True, group="pictures")
    def _draw(self) -> None:
        try:
            drawn = self._gallery.draw(self.picture, self._key)
        except PhichatError as error:
            self.post_message(self.Undrawable(str(error)))
        except Exception:  # Pillow's decoders raise nearly anything on odd bytes
            log.exception("a picture could not be drawn")
            self.post_message(self.Undrawable("This picture can't be drawn here."))
        else:
            self.post_message(self.Finished(self._key, drawn))

    @on(Finished)
    def _show(self, event: Finished) -> None:
        event.stop()
        self.query_one(Drawing).show(self._gallery.keep(event.key, event.drawn))

    @on(Undrawable)
    def _explain(self, event: Undrawable) -> None:
        event.stop()
        self.query_one(Drawing).display = False
        label = Content.assemble(self.label(), (f"\n{one_line(event.reason)}", "$error"))
        self.query_one(".label", Static).update(label)
