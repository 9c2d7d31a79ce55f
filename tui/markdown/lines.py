"""Rows of cells, and the blocks that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from textual.content import Content

NEW_LINE, NEXT_WORD, SAME_WORD = "\n", " ", ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of cells.

    ``joint`` is what stands between the row before and this one in the text:
    a line break, a blank, or nothing where a long word was folded. The first
    ``lead`` characters are no part of the text: an indentation, a frame.
    """

    content: Content
    joint: str = NEW_LINE
    lead: int = 0


class Block(ABC):
    """A block of text that can be any number of cells wide.

    ``gap`` says whether a blank row stands between it and the block before.
    """

    def __init__(self, *, gap: bool) -> None:
        self.gap = gap

    @abstractmethod
    def height(self, width: int) -> int:
        """Return the number of rows."""

    @abstractmethod
    def line(self, width: int, y: int) -> Line:
        """Return one row; ``y`` counts from 0."""


class LaidOut(Block):
    """A block whose rows are all made at once and kept for the last width."""

    def __init__(self, *, gap: bool) -> None:
        super().__init__(gap=gap)
        self._width = -1
        self._lines: Sequence[Line] = ()

    @abstractmethod
    def lay_out(self, width: int) -> Sequence[Line]:
        """Make the rows."""

    def _laid_out(self, width: int) -> Sequence[Line]:
        if width != self._width:
            self._lines, self._width = self.lay_out(width), width
        return self._lines

    def height(self, width: int) -> int:
        """Return the number of rows."""
        return len(self._laid_out(width))

    def line(self, width: int, y: int) -> Line:
        """Return one row."""
        return self._laid_out(width)[y]


class Rows(Block):
    """A block of many parts that may grow: heights are counted, rows made when looked at."""

    def __init__(self, *, gap: bool) -> None:
        super().__init__(gap=gap)
        self._width = -1
        self._columns: Sequence[int] = ()
        self._ends: list[int] = []
        """End of each part, up to the first that was changed."""
        self._made: dict[int, Sequence[Line]] = {}
        self._is_counted = False

    def columns(self, width: int) -> Sequence[int]:
        """Return what every part depends on: where it differs, all parts are laid out again."""
        return ()

    @abstractmethod
    def heights(self, width: int, begin: int) -> Iterable[int]:
        """Count the rows of each part from the part ``begin`` on."""

    @abstractmethod
    def part(self, width: int, index: int) -> Sequence[Line]:
        """Make the rows of one part, as many as were counted."""

    def changed(self, begin: int = 0) -> None:
        """Forget what was made of the parts from ``begin`` on."""
        for index in range(begin, len(self._ends)):
            self._made.pop(index, None)
        del self._ends[begin:]
        self._is_counted = False

    def _count(self, width: int) -> list[int]:
        if self._is_counted and width == self._width:
            return self._ends
        columns = self.columns(width)
        if (width, columns) != (self._width, self._columns):
            self.changed()
            self._width, self._columns = width, columns
        begin, end = len(self._ends), self._ends[-1] if self._ends else 0
        self._ends += list(accumulate(self.heights(width, begin), initial=end))[1:]
        self._is_counted = True
        return self._ends

    def height(self, width: int) -> int:
        """Return the number of rows."""
        ends = self._count(width)
        return ends[-1] if ends else 0

    def line(self, width: int, y: int) -> Line:
        """Return one row."""
        ends = self._count(width)
        index = bisect_right(ends, y)
        if index not in self._made:
            self._made[index] = self.part(width, index)
        return self._made[index][y - (ends[index - 1] if index else 0)]


def wrapped(content: Content, width: int) -> list[Line]:
    """Break styled text into rows of at most ``width`` cells, between words where possible."""
    lines: list[Line] = []
    for source in content.split("\n", allow_blank=True):
        source = source.expand_tabs()
        plain, position = source.plain, 0
        for index, row in enumerate(source.wrap(max(1, width))):
            start = plain.find(row.plain, position)
            joint = NEW_LINE if index == 0 else NEXT_WORD if start > position else SAME_WORD
            if index and position and plain[position - 1].isspace():
                joint = NEXT_WORD
            lines.append(Line(row, joint))
            position = start + len(row.plain)
    return lines


def stacked(blocks: Sequence[Block], width: int) -> list[Line]:
    """Lay out several blocks under each other."""
    lines: list[Line] = []
    for index, block in enumerate(blocks):
        if index and block.gap:
            lines.append(Line(Content("")))
        lines.extend(block.line(width, y) for y in range(block.height(width)))
    return lines


def indented(lines: Iterable[Line], first: Content, rest: Content, *, copied: bool) -> list[Line]:
    """Put ``first`` before the first row and ``rest`` before the others.

    ``copied``: where a row begins a line of the text, what stands before it is
    part of the text too (a list's mark and its indentation; not a quote's bar).
    """
    result = []
    for index, line in enumerate(lines):
        before = rest if index else first
        is_text = copied and line.joint == NEW_LINE and not line.lead
        lead = 0 if is_text else line.lead + len(before)
        result.append(Line(before + line.content, line.joint, lead))
    return result
