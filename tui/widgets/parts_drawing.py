"""Drawing of a picture with the frames of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from assistant.values.conversation import Picture, PictureFile
from assistant.values.region import Box
from tui.widgets.gallery import Gallery
from tui.widgets.picture_drawing import PictureDrawing

_PART = Style.parse("black on white")

Frame = tuple[Box, str, str, Style]
"""Box, the six characters of its lines, label and style."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture that is a picture of its own, under ``number``."""

    number: int
    box: Box


def parts_of(picture: Picture | PictureFile, pictures: Iterable[Picture]) -> tuple[Part, ...]:
    """List those of ``pictures`` that are parts of one."""
    return tuple(
        Part(one.number, (region.left, region.top, region.width, region.height))
        for one in pictures
        if (region := one.region) is not None and region.sha256 == picture.sha256
    )


class PartsDrawing(PictureDrawing):
    """Draws thin frames around parts, but not over Sixel: nothing can be written over that."""

    HIDES_SIXEL: ClassVar[bool] = False
    """Half blocks with frames are drawn instead."""

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

    def show_parts(self, pictures: Iterable[Picture]) -> None:
        """Frame those of these pictures that are parts."""
        if (parts := parts_of(self._picture, pictures)) != self._parts:
            self._parts = parts
            self.refresh()

    def frames(self) -> list[Frame]:
        """Return what is to be framed."""
        if self.drawn is not None and self.drawn.sixel and not self.HIDES_SIXEL:
            return []
        return [(part.box, "┌─┐│└┘", f"{part.number}", _PART) for part in self._parts]

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
        frames = self.frames()
        for index, y in enumerate(range(crop.y, crop.bottom)):
            for box, lines, label, style in frames:
                for x, text in _outline(self._cells_of(box), y, lines, label):
                    strips[index] = _written(strips[index], x - crop.x, text, style)
        return strips


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
