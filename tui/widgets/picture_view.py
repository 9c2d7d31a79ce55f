"""One picture of a turn: its number and facts, and the picture itself in reading size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from assistant.conversation import Picture
from assistant.errors import PhichatError
from assistant.plain_text import one_line
from tui import halfcell

LoadPicture = Callable[[str], bytes]
"""Returns the original bytes of a stored picture by its sha256; may raise PhichatError."""

_KEPT_DRAWINGS = 256


class _Drawings:
    """The last drawings by pixels and size, so that going back to a session draws nothing again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], list[Strip]] = OrderedDict()

    def get(self, key: tuple[str, int, int]) -> list[Strip] | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: tuple[str, int, int], strips: list[Strip]) -> None:
        self._kept[key] = strips
        while len(self._kept) > _KEPT_DRAWINGS:
            self._kept.popitem(last=False)


_drawings = _Drawings()


class Drawing(Widget):
    """The half-cell drawing; its size is known before its pixels are."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self._cells = Size(columns, rows)
        self.strips: list[Strip] = []

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The columns of the drawing."""
        return self._cells.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The rows of the drawing."""
        return self._cells.height

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        if y < len(self.strips):
            return self.strips[y].crop_extend(0, self.size.width, self.rich_style)
        return Strip.blank(self.size.width, self.rich_style)

    def show(self, strips: list[Strip]) -> None:
        """Show the pixels."""
        self.strips = strips
        self.refresh()


class PictureView(Vertical):
    """A picture with its session number, its name and its size in pixels.

    The file is read and decoded in a thread, and only when the view is mounted.
    """

    @dataclass
    class Drawn(Message):
        """The picture was decoded and drawn."""

        key: tuple[str, int, int]
        strips: list[Strip]

    @dataclass
    class Undrawable(Message):
        """The picture couldn't be read from the database or decoded."""

        reason: str

    def __init__(self, picture: Picture, load: LoadPicture) -> None:
        super().__init__()
        self.picture = picture
        self._load = load
        cells = halfcell.fit(
            max(1, picture.width), max(1, picture.height), halfcell.MOST_COLUMNS, halfcell.MOST_ROWS
        )
        self._key = (picture.pixels_sha256, *cells)

    def compose(self) -> ComposeResult:
        """The label above, the drawing below."""
        yield Static(self.label(), classes="label")
        _, columns, rows = self._key
        yield Drawing(columns, rows)

    def label(self) -> Content:
        """``Picture 3 · name.png · 640×480``."""
        picture = self.picture
        return Content.assemble(
            (f"Picture {picture.number}", "bold"),
            (f" · {one_line(picture.name, 60)} · {picture.width}×{picture.height}", "$phi-quiet"),
        )

    def on_mount(self) -> None:
        """Show a kept drawing at once, or have the picture drawn."""
        if (strips := _drawings.get(self._key)) is not None:
            self.query_one(Drawing).show(strips)
        else:
            self._draw()

    @work(thread=True, group="pictures")
    def _draw(self) -> None:
        _, columns, rows = self._key
        try:
            strips = halfcell.draw(self._load(self.picture.sha256), columns, rows)
        except PhichatError as error:
            self.post_message(self.Undrawable(str(error)))
        except Exception:  # Pillow's decoders raise nearly anything on odd bytes
            self.post_message(self.Undrawable("This picture can't be drawn here."))
        else:
            self.post_message(self.Drawn(self._key, strips))

    @on(Drawn)
    def _show(self, event: Drawn) -> None:
        event.stop()
        _drawings.keep(event.key, event.strips)
        self.query_one(Drawing).show(event.strips)

    @on(Undrawable)
    def _explain(self, event: Undrawable) -> None:
        event.stop()
        self.query_one(Drawing).display = False
        label = Content.assemble(self.label(), (f"\n{one_line(event.reason)}", "$error"))
        self.query_one(".label", Static).update(label)
