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
        self._cut: tuple[Region, str, str] | None = None

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
        strips, drawn = self.cells(crop), self.at_rest
        if not drawn or not drawn.sixel or not self._may_draw or not self._resting:
            return strips
        if crop.width == self._cells.width:
            x, y = self.region.offset
            sequence = self._sixel(drawn, crop)
            strips = [*strips[:-1], graphics.with_sixel(strips[-1], sequence, x, y + crop.y)]
        return strips

    def cells(self, crop: Region) -> list[Strip]:
        """Return the visible rows as they are without Sixel."""
        strips, drawn = super().render_lines(crop), self.drawn
        if drawn is None or drawn.kitty is None or not self._may_draw:
            return strips
        left, right = crop.x, crop.right
        return [drawn.kitty[y].crop(left, right) for y in range(crop.y, crop.bottom)]

    @property
    def at_rest(self) -> Drawn | None:
        """Drawing whose Sixel picture is shown while nothing moves."""
        return self.drawn

    @property
    def _may_draw(self) -> bool:
        """Say whether more than half blocks can be drawn now.

        What was just taken off may be painted once more, before the next layout.
        """
        return self.is_attached and self.screen.is_active and self.size == self._cells

    def _sixel(self, drawn: Drawn, crop: Region) -> str:
        """Return the picture's visible part; one cut off at the top or end is encoded again."""
        if crop == self._cells.region or drawn.image is None:
            return drawn.sixel
        if self._cut is None or self._cut[:2] != (crop, drawn.sixel):
            cell = drawn.image.height // self._cells.height
            box = (0, crop.y * cell, drawn.image.width, crop.bottom * cell)
            self._cut = (crop, drawn.sixel, graphics.sixel(drawn.image.crop(box)))
        return self._cut[2]
