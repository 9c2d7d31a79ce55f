"""Cells of a picture: half blocks, or the terminal's own protocol."""

from __future__ import annotations

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.terminal import graphics
from tui.widgets.gallery import Drawn


class Drawing(Widget):
    """Widget whose size is known before its pixels are.

    Kitty's cells are text whose colour is the picture's number, so they are shown only
    where no dialog above tints the screen. A Sixel picture lies over the half blocks, and
    only while nothing moves.
    """

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self._cells = Size(columns, rows)
        self.drawn: Drawn | None = None
        self._resting = False
        self._cut: tuple[Region, str] | None = None

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return self._cells.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._cells.height

    def show(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.refresh()

    def rest(self, resting: bool) -> None:
        """Draw Sixel while nothing moves, half blocks while something does."""
        if resting != self._resting:
            self._resting = resting
            if self.drawn is not None and self.drawn.sixel:
                self.refresh()

    def render_line(self, y: int) -> Strip:
        if self.drawn is None or y >= len(self.drawn.blocks):
            return Strip.blank(self.size.width, self.rich_style)
        return self.drawn.blocks[y].crop_extend(0, self.size.width, self.rich_style)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible rows, with the parts that no style filter may touch."""
        strips = super().render_lines(crop)
        drawn = self.drawn
        # What was just taken off may be painted once more, before the next layout.
        if drawn is None or not self.is_attached or not self.screen.is_active:
            return strips
        if self.size != self._cells:
            return strips
        if drawn.kitty is not None:
            left, right = crop.x, crop.right
            return [drawn.kitty[y].crop(left, right) for y in range(crop.y, crop.bottom)]
        if drawn.sixel and self._resting and crop.width == self._cells.width:
            x, y = self.region.offset
            sequence = self._sixel(drawn, crop)
            strips = [*strips[:-1], graphics.with_sixel(strips[-1], sequence, x, y + crop.y)]
        return strips

    def _sixel(self, drawn: Drawn, crop: Region) -> str:
        """Return the picture's visible part; one cut off at the top or end is encoded again."""
        if crop == self._cells.region or drawn.image is None:
            return drawn.sixel
        if self._cut is None or self._cut[0] != crop:
            cell = drawn.image.height // self._cells.height
            box = (0, crop.y * cell, drawn.image.width, crop.bottom * cell)
            self._cut = (crop, graphics.sixel(drawn.image.crop(box)))
        return self._cut[1]
