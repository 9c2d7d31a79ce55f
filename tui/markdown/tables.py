"""Tables, whole or growing: columns as wide as they need, narrower where cells must wrap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from tui.markdown.lines import Line, Rows, wrapped
from tui.markdown.parser import inline

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

NARROWEST = 6
"""Cells that a column keeps however little room there is, unless it needs fewer."""
FRAME = "$phi-line"

Row = list[Content]


class Table(Rows):
    """A header and rows; the widths of the columns follow from all the rows that are there."""

    def __init__(self, node: SyntaxTreeNode, *, gap: bool) -> None:
        super().__init__(gap=gap)
        head = node.children[0].children[0]
        self._header = [inline(cell).stylize_before("bold $primary") for cell in head.children]
        self._right = ["right" in str(cell.attrs.get("style", "")) for cell in head.children]
        self._centred = ["center" in str(cell.attrs.get("style", "")) for cell in head.children]
        self._rows: list[Row] = list(rows_of(node))
        self._open: list[Row] = []
        self._natural = _widest([self._header, *self._rows], [0] * len(self._header))

    def append(self, node: SyntaxTreeNode) -> None:
        """Add the rows of ``node``, a table with the same header."""
        self.show_open(None)
        added = list(rows_of(node))
        self._rows += added
        self._natural = _widest(added, self._natural)

    def show_open(self, node: SyntaxTreeNode | None) -> None:
        """Show rows that may still change below the complete ones."""
        self._open = list(rows_of(node)) if node is not None else []
        self.changed(len(self._rows))  # the header and its line are parts too, where there is room

    def _body(self) -> list[Row]:
        return self._rows + self._open

    def columns(self, width: int) -> Sequence[int]:
        """Return each column's width without padding; [] where not even the narrowest fit."""
        wanted = [max(1, cells) for cells in _widest(self._open, self._natural)]
        room = width - 3 * len(wanted) + 1  # " a │ b "
        if sum(wanted) <= room:
            return wanted
        low = [min(cells, NARROWEST) for cells in wanted]
        if sum(low) > room:
            return []
        # the widest give way first: the largest cap under which all fit
        below, above = min(low), max(wanted)
        while above - below > 1:
            cap = (below + above) // 2
            fits = sum(max(lo, min(w, cap)) for w, lo in zip(wanted, low, strict=True)) <= room
            below, above = (cap, above) if fits else (below, cap)
        return [max(lo, min(w, below)) for w, lo in zip(wanted, low, strict=True)]

    def heights(self, width: int, begin: int) -> Iterable[int]:
        """Count the rows of the header, the line below it, and each row."""
        columns = self.columns(width)
        if not columns:
            for index in range(begin, len(self._body())):
                yield len(self._record(width, index))
            return
        if begin == 0:
            yield _height(self._header, columns)
        if begin <= 1:
            yield 1
        for row in self._body()[max(0, begin - 2) :]:
            yield _height(row, columns)

    def part(self, width: int, index: int) -> Sequence[Line]:
        """Make the rows of cells of one row."""
        columns = self.columns(width)
        if not columns:
            return self._record(width, index)
        if index == 1:
            line = "┼".join("─" * (cells + 2) for cells in columns)
            return [Line(Content.styled(line, FRAME), lead=len(line))]
        row = self._header if index == 0 else self._body()[index - 2]
        return self._row(row, columns)

    def _row(self, row: Row, columns: Sequence[int]) -> list[Line]:
        cells = [wrapped(cell, width) for cell, width in zip(row, columns, strict=True)]
        bar = Content.styled("│", FRAME)
        lines = []
        for y in range(max(1, *map(len, cells))):
            pieces = [
                self._aligned(cell[y].content if y < len(cell) else Content(""), width, column)
                for column, (cell, width) in enumerate(zip(cells, columns, strict=True))
            ]
            lines.append(Line(bar.join(pieces)))
        return lines

    def _aligned(self, text: Content, width: int, column: int) -> Content:
        free = max(0, width - text.cell_length)
        left = free if self._right[column] else free // 2 if self._centred[column] else 0
        return text.pad(1 + left, 1 + free - left)

    def _record(self, width: int, index: int) -> list[Line]:
        """Lay out a row as lines ``header: cell``, for windows too narrow for columns."""
        lines: list[Line] = []
        for header, cell in zip(self._header, self._body()[index], strict=True):
            lines += wrapped(Content.assemble(header, ": ", cell), width)
        return [*lines, Line(Content(""))]


def rows_of(node: SyntaxTreeNode) -> Iterator[Row]:
    """Return the rows of a table below its header."""
    for part in node.children[1:]:
        for row in part.children:
            yield [inline(cell) for cell in row.children]


def _widest(rows: Iterable[Row], natural: Sequence[int]) -> list[int]:
    widest = list(natural)
    for row in rows:
        for column, cell in enumerate(row):
            widest[column] = max(widest[column], _cells(cell))
    return widest


def _cells(cell: Content) -> int:
    """Return the cells of the longest line."""
    return max(line.cell_length for line in cell.split("\n", allow_blank=True))


def _height(row: Row, columns: Sequence[int]) -> int:
    return max(
        1,
        *(
            1 + cell.plain.count("\n") if _cells(cell) <= width else len(wrapped(cell, width))
            for cell, width in zip(row, columns, strict=True)
        ),
    )
