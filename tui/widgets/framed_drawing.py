"""Drawing of a picture with the frames of its parts, one of which can be moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.geometry import clamp
from textual.message import Message
from textual.timer import Timer

from assistant.values.region import Box
from tui.keys import REGION_KEYS, bindings
from tui.widgets.parts_drawing import Frame, PartsDrawing
from tui.widgets.picture_drawing import REST_S

FIRST_SHARE = 3
"""A new frame is a third of the picture's width and height, in its middle."""
_MOVED = Style.parse("bold black on bright_yellow")


class FramedDrawing(PartsDrawing):
    """Draws thin frames around parts; the heavy one follows arrow keys and the mouse.

    A frame stands in cells, its box in pixels. Where pictures are Sixel, half blocks are shown
    while it moves.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar = bindings(REGION_KEYS)

    @dataclass
    class Moved(Message):
        """The frame stands here now, or nowhere."""

        box: Box | None

    @dataclass
    class Taken(Message):
        """The part within the frame shall be a picture of its own."""

        box: Box

    _anchor: tuple[int, int] | None = None
    """The cell where a button of the mouse was pressed."""
    _pause: Timer | None = None
    box: Box | None = None

    def begin(self) -> None:
        """Show a frame in the middle, to be moved."""
        if self.box is None:
            width, height = (max(1, side // FIRST_SHARE) for side in self._pixels)
            wide, high = self._pixels
            self._put(((wide - width) // 2, (high - height) // 2, width, height))

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
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(REST_S, lambda: self.rest(True))
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

    def frames(self) -> list[Frame]:
        """Return the frames of parts, and the one that is moved."""
        found = super().frames()
        return [*found, (self.box, "┏━┓┃┗┛", "", _MOVED)] if self.box is not None else found


def _ends(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other) + 1
