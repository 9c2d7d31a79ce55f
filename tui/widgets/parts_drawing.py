"""Drawing of a picture with the frames of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.segment import Segment
from rich.style import Style
from textual import on, work
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from assistant.values.conversation import Picture, PictureFile
from assistant.values.region import Box
from tui.terminal import graphics
from tui.widgets.gallery import Drawn, Gallery
from tui.widgets.picture_drawing import PictureDrawing

_PART = Style.parse("black on bright_white")

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
    """Draws thin frames around parts: over cells, and into the pixels of Sixel pictures.

    Nothing can be written over Sixel, so a picture with frames is encoded again, in a thread.
    """

    @dataclass
    class Framed(Message):
        """The picture was encoded with these frames."""

        frames: list[Frame]
        drawn: Drawn

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
        self._framed: PartsDrawing.Framed | None = None

    def show_parts(self, pictures: Iterable[Picture]) -> None:
        """Frame those of these pictures that are parts."""
        if (parts := parts_of(self._picture, pictures)) != self._parts:
            self._parts = parts
            self._encode_frames()
            self.refresh()

    def show(self, drawn: Drawn) -> None:
        super().show(drawn)
        self._encode_frames()

    def rest(self, resting: bool) -> None:
        super().rest(resting)
        self._encode_frames()

    @property
    def at_rest(self) -> Drawn | None:
        """Drawing with all frames, as soon as there is one."""
        if not (frames := self.frames()):
            return self.drawn
        framed = self._framed
        return framed.drawn if framed is not None and framed.frames == frames else None

    def _encode_frames(self) -> None:
        drawn = self.drawn
        if self._resting and self.at_rest is None and drawn is not None and drawn.sixel:
            self._encode(drawn, self.frames())

    @work(thread=True, exclusive=True, group="frames")
    def _encode(self, drawn: Drawn, frames: list[Frame]) -> None:
        assert drawn.image is not None
        (wide, high), size = self._pixels, drawn.image.size
        lines = [
            (_scaled(box, size[0] / wide, size[1] / high), label, style)
            for box, _, label, style in frames
        ]
        image = graphics.with_frames(drawn.image, lines, drawn.image.height // self._cells.height)
        framed = replace(drawn, sixel=graphics.sixel(image), image=image)
        self.post_message(self.Framed(frames, framed))

    @on(Framed)
    def _show_framed(self, event: Framed) -> None:
        event.stop()
        self._framed = event
        self.refresh()
        self._encode_frames()  # the frames may have changed meanwhile

    def frames(self) -> list[Frame]:
        """Return what is to be framed."""
        return [(part.box, "┌─┐│└┘", f"{part.number}", _PART) for part in self._parts]

    def _cells_of(self, box: Box) -> Region:
        (columns, rows), (wide, high) = self._cells, self._pixels
        left, top, width, height = box
        x, y = min(left * columns // wide, columns - 1), min(top * rows // high, rows - 1)
        right = math.ceil((left + width) * columns / wide)
        bottom = math.ceil((top + height) * rows / high)
        return Region(x, y, max(1, right - x), max(1, bottom - y))

    def cells(self, crop: Region) -> list[Strip]:
        """Return the visible rows, with frames over the picture."""
        strips = super().cells(crop)
        frames = self.frames()
        for index, y in enumerate(range(crop.y, crop.bottom)):
            for box, lines, label, style in frames:
                for x, text in _outline(self._cells_of(box), y, lines, label):
                    strips[index] = _written(strips[index], x - crop.x, text, style)
        return strips


def _scaled(box: Box, across: float, down: float) -> Box:
    left, top, width, height = box
    return round(left * across), round(top * down), round(width * across), round(height * down)


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
