"""Drawing of one picture, stored or attached, which reads and decodes it in a thread."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from textual import events, on, work
from textual.message import Message

from assistant.values.conversation import Picture, PictureFile
from assistant.values.errors import PhichatError
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Drawn, Gallery, Key

log = logging.getLogger(__name__)

REST_S = 0.3
"""Seconds without a change of the layout after which Sixel pictures are drawn."""


class PictureDrawing(Drawing):
    """Drawing by the terminal's best protocol; decoded only when it is mounted."""

    @dataclass
    class Finished(Message):
        """The picture was decoded and drawn."""

        key: Key
        drawn: Drawn

    @dataclass
    class Undrawable(Message):
        """The picture couldn't be read from the database or decoded."""

        reason: str

    def __init__(
        self,
        picture: Picture | PictureFile,
        gallery: Gallery,
        columns: int,
        rows: int,
        *,
        rests: bool = False,
    ) -> None:
        """Draw in at most ``columns`` x ``rows`` cells; ``rests`` where nothing scrolls it."""
        self._picture = picture
        self._gallery = gallery
        self._key = gallery.key(picture, columns, rows)
        self._rests = rests
        super().__init__(*self._key[1:])

    def on_mount(self) -> None:
        if (drawn := self._gallery.kept(self._key)) is not None:
            self.show(drawn)
        else:
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        if self._rests:
            self.set_timer(REST_S, lambda: self.rest(True))

    def draw_again(self) -> None:
        """Draw for the terminal that is attached now."""
        self.refresh()
        self._draw()

    @work(thread=True, group="pictures")
    def _draw(self) -> None:
        try:
            drawn = self._gallery.draw(self._picture, self._key)
        except PhichatError as error:
            self.post_message(self.Undrawable(str(error)))
        except Exception:  # Pillow's decoders raise nearly anything on odd bytes
            log.exception("a picture could not be drawn")
            self.post_message(self.Undrawable("This picture can't be drawn here."))
        else:
            self.post_message(self.Finished(self._key, drawn))

    @on(Finished)
    def _keep(self, event: Finished) -> None:
        event.stop()
        self.show(self._gallery.keep(event.key, event.drawn))
