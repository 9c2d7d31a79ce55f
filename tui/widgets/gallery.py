"""Pictures for the screen: read from the store, drawn in threads, and kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from textual.strip import Strip

from assistant.values.conversation import Picture, PictureFile
from tui.terminal import graphics, half_blocks, tmux
from tui.terminal.detect import Graphics, PictureProtocol

if TYPE_CHECKING:
    from PIL.Image import Image

    from assistant.engine.engine import Engine

MOST_KEPT = 128
SMALL_ROWS = 12
"""Rows of which the thumbnail of an attached picture has enough pixels."""


@dataclass(slots=True)
class Drawn:
    """A picture in one size: half blocks, and what the terminal's own protocol needs."""

    blocks: list[Strip]
    kitty: list[Strip] | None = None
    """Cells that stand for it, of a page of phichat serve too."""
    upload: str = ""
    """Messages to write before ``kitty`` is shown for the first time."""
    number: int = 0
    sixel: str = ""
    image: Image | None = None
    """The pixels that ``sixel`` draws, for parts of it."""


Key = tuple[str, int, int]
"""The pixels' sha256, columns, rows."""


class PictureStore(Protocol):
    """Files of pictures by their sha256."""

    def picture_data(self, sha256: str) -> bytes:
        """Return the bytes of a file. Raises StorageError."""


class Gallery:
    """Pictures drawn by this terminal's protocol, each size of each once."""

    def __init__(
        self,
        engine: Engine,
        chosen: Graphics,
        write: Callable[[str], None] = lambda text: None,
        store: PictureStore | None = None,
        uploaded: set[int] | None = None,
    ) -> None:
        """``store`` holds the pictures; the engine's own, if none is given.

        ``uploaded``, the numbers of the pictures that the terminal holds, is shared by its
        galleries.
        """
        self.engine = engine
        self.graphics = chosen
        self._write = write
        self._store = store
        self._uploaded = set[int]() if uploaded is None else uploaded
        self._kept: OrderedDict[Key, Drawn] = OrderedDict()

    def of(self, store: PictureStore) -> Gallery:
        """Make a gallery of another store's pictures, for the same terminal."""
        return Gallery(self.engine, self.graphics, self._write, store, self._uploaded)

    @property
    def protocol(self) -> PictureProtocol:
        return self.graphics.protocol

    def key(self, picture: Picture | PictureFile, columns: int, rows: int) -> Key:
        """Return the cells that a picture takes where at most ``columns`` x ``rows`` are free."""
        most_columns, most_rows = graphics.most_cells(self.graphics)
        size = half_blocks.fit(
            max(1, picture.width),
            max(1, picture.height),
            min(columns, most_columns),
            min(rows, most_rows),
            self.graphics.cell,
        )
        return (picture.pixels_sha256, *size)

    def kept(self, key: Key) -> Drawn | None:
        """Return an earlier drawing."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def draw(self, picture: Picture | PictureFile, key: Key) -> Drawn:
        """Draw a picture (in a thread). Raises what the store and Pillow raise."""
        from PIL.Image import Resampling

        from assistant.pictures.decode import (
            pixels,  # late: Pillow is not needed for the first paint
        )

        _, columns, rows = key
        data, halves = self.data(picture), (columns, 2 * rows)
        if isinstance(picture, PictureFile) and rows <= SMALL_ROWS:
            data = picture.thumbnail or data
        if self.protocol is PictureProtocol.HALFBLOCKS:
            return Drawn(half_blocks.draw(pixels(data, halves)))
        width, height = self.graphics.cell
        image = pixels(data, (columns * width, rows * height))
        drawn = Drawn(half_blocks.draw(image.resize(halves, Resampling.BOX)))
        if self.protocol is PictureProtocol.KITTY:
            through = self.graphics.audience is not None
            number = graphics.new_palette_id() if through else graphics.new_id()
            drawn.number = number
            drawn.upload = graphics.kitty_upload(image, number, columns, rows)
            drawn.kitty = graphics.kitty_rows(number, columns, rows, of_palette=through)
        elif self.protocol is PictureProtocol.PAGE:
            drawn.number = number = graphics.new_id()
            drawn.upload = graphics.page_upload(image, number)
            drawn.kitty = graphics.page_rows(number, columns, rows)
        else:
            drawn.sixel, drawn.image = graphics.sixel(image), image
        return drawn

    def data(self, picture: Picture | PictureFile) -> bytes:
        """Return the file's bytes. Raises StorageError."""
        if isinstance(picture, PictureFile):
            return picture.data
        return (self._store or self.engine.store).picture_data(picture.sha256)

    def keep(self, key: Key, drawn: Drawn) -> Drawn:
        """Keep a drawing, and upload it where the terminal draws pictures itself.

        Returns the one to show: another view may have drawn the same at the same time.
        """
        kept = self.kept(key)
        if kept is not None and (kept.kitty or not drawn.upload):
            return kept
        if drawn.upload and self.protocol in (PictureProtocol.KITTY, PictureProtocol.PAGE):
            self._send(drawn.upload)
            self._uploaded.add(drawn.number)
        elif drawn.upload:  # another terminal was attached while it was drawn
            drawn.kitty, drawn.number = None, 0
        drawn.upload = ""
        self._kept[key] = drawn
        while len(self._kept) > MOST_KEPT:
            self._forget(self._kept.popitem(last=False)[1].number)
        return drawn

    def close(self) -> None:
        """Free its pictures in the terminal."""
        while self._kept:
            self._forget(self._kept.popitem()[1].number)

    def free_terminal(self) -> None:
        """Free all pictures in the terminal, of other galleries and of earlier audiences too.

        Call it on the screen that they were uploaded to: a terminal keeps those of its other
        screen apart, and tmux at times drops what comes behind the change of screens.
        """
        for number in sorted(self._uploaded):
            self._forget(number)

    def look_again(self, answer: str) -> bool:
        """Take what tmux answered; True where the pictures in sight must be drawn again.

        Then none is kept, and those in sight are half blocks meanwhile.
        """
        audience = self.graphics.audience
        if audience is None or not answer or not audience.take(tmux.read(answer)):
            return False
        protocol = PictureProtocol.KITTY if audience.draws else PictureProtocol.HALFBLOCKS
        self.graphics = replace(self.graphics, protocol=protocol)
        for drawn in self._kept.values():
            drawn.kitty = None
        self._kept.clear()
        return True

    def _forget(self, number: int) -> None:
        if number in self._uploaded:
            is_page = self.protocol is PictureProtocol.PAGE
            forget = graphics.page_forget if is_page else graphics.kitty_forget
            self._send(forget(number))
            self._uploaded.remove(number)

    def _send(self, sequences: str) -> None:
        """Send control sequences to the terminal, through tmux where that is between."""
        if (audience := self.graphics.audience) is None:
            self._write(sequences)
        else:
            self._write(tmux.passed(sequences))
            audience.note_sent()
