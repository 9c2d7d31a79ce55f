"""Text of any length in one widget, which draws the visible lines only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.cells import chop_cells
from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

Span = tuple[str, str]
"""A text without line breaks, and its kind: a component class of :class:`LongText`."""
Line = tuple[Span, ...]


class LongText(ScrollView, can_focus=True):
    """Lines of spans; scrolls by keys and wheel, wraps where the window ends."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"text", "control", "picture", "quiet", "warning"}
    DEFAULT_CSS = """
    LongText { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._wrapped: list[Line] = []
        self._width = 0

    @property
    def lines(self) -> Sequence[Line]:
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show other lines, from the top."""
        self._lines = lines
        self._wrap()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        if self.scrollable_content_region.width != self._width:
            self._wrap()

    def _wrap(self) -> None:
        self._width = self.scrollable_content_region.width
        width = max(1, self._width)
        self._wrapped = [piece for line in self._lines for piece in wrapped(line, width)]
        self.virtual_size = Size(width, len(self._wrapped))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        place = y + self.scroll_offset.y
        base = self.rich_style
        if place >= len(self._wrapped):
            return Strip.blank(self.size.width, base)
        segments = [
            Segment(text, base + self.get_component_rich_style(kind, partial=True))
            for text, kind in self._wrapped[place]
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)


def wrapped(line: Line, width: int) -> Iterator[Line]:
    """Cut a line behind blanks into lines of at most ``width`` cells, or within a longer word.

    Nothing is lost; the blank that a line ends with may stand beyond its ``width``.
    """
    begin, spans = 0, deque(line)
    for end in _ends("".join(text for text, _ in line), width):
        row, room = list[Span](), end - begin
        while room > 0:
            text, kind = spans.popleft()
            row.append((text[:room], kind))
            if text[room:]:
                spans.appendleft((text[room:], kind))
            room -= len(text)
        yield tuple(row)
        begin = end
    if spans or not begin:
        yield tuple(spans)


def _ends(text: str, width: int) -> Iterator[int]:
    """Yield where each line but the last ends: the number of characters up to there."""
    begin, is_ascii = 0, text.isascii()
    while True:
        piece = text[begin : begin + width]
        full = begin + max(1, len(piece if is_ascii else chop_cells(piece, width)[0]))
        if full >= len(text):
            return
        blank = text.rfind(" ", begin, full + 1)
        is_word = text[begin : blank + 1].strip()  # else the line begins with blanks alone
        begin = blank + 1 if is_word else full
        yield begin
