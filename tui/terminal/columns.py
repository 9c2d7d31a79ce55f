"""Columns that hold, whatever a terminal makes of joined emoji and of signs that combine.

Textual counts “⚠️” and a family as two cells each, and so do kitty, Ghostty and WezTerm. xterm, VTE
and tmux draw one and eight, and all that follows in the row stands elsewhere: the lines of a table,
the edge of a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

DISPUTED = re.compile(
    "[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff"
    "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff]"
)
"""Joiners, variation selectors, keycaps, tones of skin, flags; the scripts of India, Burmese and
Khmer."""

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")

PLACEHOLDER = "\U0010eeee"
"""Sign of kitty for a cell of a picture; what combines with it are numbers."""

SAVE, RESTORE = "\x1b7", "\x1b8"
WRAPS_NOT, WRAPS = "\x1b[?7l", "\x1b[?7h"

_render = Strip.render


def render(self: Strip, console: Console) -> str:
    """Render a strip; after a disputed sign the cursor is put where the next one belongs."""
    if self._render_cache is None and any(
        not one.text.isascii() and DISPUTED.search(one.text) for one in self._segments
    ):
        system = console._color_system or ColorSystem.TRUECOLOR
        self._render_cache = SAVE + "".join(_pieces(self, system))
    return _render(self, console)


def signs(line: str) -> list[tuple[int, int, int]]:
    """Return begin, end and cells of each sign; the library takes a flag for two."""
    found: list[tuple[int, int, int]] = []
    for begin, end, cells in split_graphemes(line)[0]:
        if found and _FLAG.fullmatch(line, found[-1][0], end):
            begin, _, before = found.pop()
            cells += before
        found.append((begin, end, cells))
    return found


def _pieces(strip: Strip, system: ColorSystem) -> Iterator[str]:
    column = 0
    for text, style, control in strip._segments:
        pieces = [(text, 0)] if control else list(_runs(text))
        for piece, cells in pieces:
            if style is None:
                yield piece
            else:
                yield strip.render_style(style, piece, color_system=system)
            column += cells or Segment(piece, None, control).cell_length
            if cells:
                yield RESTORE + (f"\x1b[{column}C" if column else "")


def _runs(text: str) -> Iterator[tuple[str, int]]:
    """Yield runs of plain text with 0, and disputed signs with their cells, blanks below them."""
    begun = 0
    for start, end, cells in split_graphemes(text)[0]:
        sign = text[start:end]
        if cells and sign[0] != PLACEHOLDER and DISPUTED.search(sign):
            if begun < start:
                yield text[begun:start], 0
            yield f"{' ' * cells}\x1b[{cells}D{WRAPS_NOT}{sign}{WRAPS}", cells
            begun = end
    if begun < len(text):
        yield text[begun:], 0
