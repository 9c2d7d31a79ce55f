"""Drawing of a picture with the frames of its parts, one of which can be moved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, clamp
from textual.message import Message
from textual.strip import Strip

from assistant.values.conversation import Picture, PictureFile
from assistant.values.region import Box
from tui.keys import REGION_KEYS
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing

FIRST_SHARE = 3
"""A new frame is a third of the picture's width and height, in its middle."""
_PART = Style.parse("black on white")
_MOVED = Style.parse("bold black on bright_yellow")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture that is a picture of its own, under ``number``."""

    number: int
    box: Box


class FramedDrawing(PictureDrawing):
    """Draws thin frames around parts; the heavy one follows arrow keys and the mouse.

    A frame stands in cells, its box in pixels. A frame hides the Sixel picture, because nothing can
    be written over that: half blocks are shown meanwhile.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in REGION_KEYS]

    @dataclass
    class Moved(Message):
        """The frame stands here now, or nowhere."""

        box: Box | None

    @dataclass
    class Taken(Message):
        """The part within the frame shall be a picture of its own."""

        box: Box

    def __init__(
        self,
        picture: Picture | PictureFile,
        gallery: Gallery,
        columns: int,
        rows: int,
        parts: Sequence[Part] = (),
    ) -> None:
        super().__init__(picture, gallery, columns, rows)
        self._parts = tuple(parts)
        self._pixels = picture.width, picture.height
        self._anchor: tuple[int, int] | None = None
        """The cell where a button of the mouse was pressed."""
        self.box: Box | None = None

    def begin(self) -> None:
        """Show a frame in the middle, to be moved."""
        if self.box is None:
            width, height = (max(1, side // FIRST_SHARE) for side in self._pixels)
            wide, high = self._pixels
            self._put(((wide - width) // 2, (high - height) // 2, width, height))

    def rest(self, resting: bool) -> None:
        super().rest(resting and not (self._parts or self.box))

    # Keys

    def action_move(self, x: int, y: int) -> None:
        """Move the frame by so many cells."""
        self._change(x, y, 0, 0)

    def action_grow(self, x: int, y: int) -> None:
        """Move the right and lower edge of the frame by so many cells."""
        self._change(0, 0, x, y)

    def action_take(self) -> None:
        """Ask for the part."""
        if self.box is not None:
            self.post_message(self.Taken(self.box))

    def action_leave(self) -> None:
        """Take the frame away."""
        self._put(None)

    def _change(self, x: int, y: int, wider: int, higher: int) -> None:
        if self.box is None:
            return
        left, top, width, height = self.box
        (wide, high), (step, rise) = self._pixels, self._cell
        width = clamp(width + wider * step, 1, wide - left)
        height = clamp(height + higher * rise, 1, high - top)
        left = clamp(left + x * step, 0, wide - width)
        top = clamp(top + y * rise, 0, high - height)
        self._put((left, top, width, height))

    def _put(self, box: Box | None) -> None:
        self.box, self.can_focus = box, box is not None
        if box is None:
            self.blur()
        else:
            self.focus()
        self.rest(box is None)
        self.refresh()
        self.post_message(self.Moved(box))

    # Mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._anchor = self._within(event)
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        here = self._within(event)
        if self._anchor is not None and (self.box is not None or here != self._anchor):
            self._put(self._between(self._anchor, here))

    def on_mouse_up(self) -> None:
        self._anchor = None
        self.release_mouse()

    def _within(self, event: events.MouseEvent) -> tuple[int, int]:
        columns, rows = self._cells
        return clamp(event.x, 0, columns - 1), clamp(event.y, 0, rows - 1)

    def _between(self, one: tuple[int, int], other: tuple[int, int]) -> Box:
        """Return the pixels of the rectangle with these two cells in its corners."""
        (columns, rows), (wide, high) = self._cells, self._pixels
        left, right = (round(x * wide / columns) for x in _ends(one[0], other[0]))
        top, bottom = (round(y * high / rows) for y in _ends(one[1], other[1]))
        return left, top, max(1, right - left), max(1, bottom - top)

    # Cells

    @property
    def _cell(self) -> tuple[int, int]:
        """Pixels of the picture in a column and in a row, 1 at least."""
        (columns, rows), (wide, high) = self._cells, self._pixels
        return max(1, round(wide / columns)), max(1, round(high / rows))

    def _cells_of(self, box: Box) -> Region:
        (columns, rows), (wide, high) = self._cells, self._pixels
        left, top, width, height = box
        x, y = min(left * columns // wide, columns - 1), min(top * rows // high, rows - 1)
        right = math.ceil((left + width) * columns / wide)
        bottom = math.ceil((top + height) * rows / high)
        return Region(x, y, max(1, right - x), max(1, bottom - y))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible rows, with frames over the picture."""
        strips = super().render_lines(crop)
        frames = [
            (self._cells_of(part.box), "┌─┐│└┘", f"{part.number}", _PART) for part in self._parts
        ]
        if self.box is not None:
            frames.append((self._cells_of(self.box), "┏━┓┃┗┛", "", _MOVED))
        for index, y in enumerate(range(crop.y, crop.bottom)):
            for cells, lines, label, style in frames:
                for x, text in _outline(cells, y, lines, label):
                    strips[index] = _written(strips[index], x - crop.x, text, style)
        return strips


def _ends(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other) + 1


def _outline(cells: Region, y: int, lines: str, label: str) -> Iterator[tuple[int, str]]:
    """Yield what a frame writes into the row ``y``: the column, and the text from there."""
    corner, across, other, down, low, last = tuple(lines)
    inner = cells.width - 2
    if y not in cells.line_range:
        return
    if inner < 0:
        yield cells.x, label or "▣"
    elif y == cells.y:
        yield cells.x, corner + label[:inner].ljust(inner, across) + other
    elif y == cells.bottom - 1:
        yield cells.x, low + across * inner + last
    else:
        yield cells.x, down
        yield cells.right - 1, down


def _written(strip: Strip, x: int, text: str, style: Style) -> Strip:
    """Write a text over the cells from ``x`` on, as far as the strip has them."""
    start, end = max(0, x), min(x + len(text), strip.cell_length)
    if start >= end:
        return strip
    over = Strip([Segment(text[start - x : end - x], style)])
    return Strip.join([strip.crop(0, start), over, strip.crop(end)])
