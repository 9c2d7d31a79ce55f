"""Reduction of colours to the 256 of xterm's palette.

Rich rounds each part of a colour to the cube, so a light ground with a little yellow becomes pink.
Here the nearest of cube and greys is taken, and pale grounds become greys.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor, ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from tui.terminal.detect import Colours

SYSTEMS = {
    Colours.TRUE: ColorSystem.TRUECOLOR,
    Colours.PALETTE: ColorSystem.EIGHT_BIT,
    Colours.NAMED: ColorSystem.STANDARD,
}
"""Rich's names of the numbers of colours."""

_CUBE = (0, 95, 135, 175, 215, 255)
_CUBE_START, _GREY_START, _GREYS = 16, 232, 24
_PALE, _QUIET, _PALE_FACTOR = 150, 40, 3
"""Least part of a pale colour, of 255, and the distance of its parts: it is hardly a colour."""


class PaletteFilter(LineFilter):
    """Filter that draws every line in the colours of xterm's palette."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments with the nearest colours."""
        return [
            Segment(text, style and reduced(style), control) for text, style, control in segments
        ]


@lru_cache(4096)
def reduced(style: Style) -> Style:
    """Return a style in the nearest colours of the palette."""
    return style + Style.from_color(_nearest(style.color), _nearest(style.bgcolor))


@lru_cache(4096)
def _nearest(colour: RichColor | None) -> RichColor | None:
    if colour is None or colour.triplet is None:
        return colour
    parts = tuple(colour.triplet)
    steps = [min(range(6), key=lambda step: abs(_CUBE[step] - part)) for part in parts]
    # 1) Grey n is 8 + 10 n. Of two as near, the darker keeps the grounds of phichat-ink apart.
    grey = min(_GREYS - 1, max(0, (sum(parts) - 10) // 30))
    in_greys = sum((8 + 10 * grey - part) ** 2 for part in parts)
    in_cube = sum((_CUBE[step] - part) ** 2 for step, part in zip(steps, parts, strict=True))
    # 2) For a pale colour a grey may be farther off than one of the cube; not for others,
    #    or pictures would lose theirs.
    is_pale = min(parts) > _PALE and max(parts) - min(parts) < _QUIET
    if in_greys < in_cube * (_PALE_FACTOR if is_pale else 1):
        return RichColor.from_ansi(_GREY_START + grey)
    red, green, blue = steps
    return RichColor.from_ansi(_CUBE_START + 36 * red + 6 * green + blue)
