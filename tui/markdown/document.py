"""Document of blocks that grows at its end; settled blocks are parsed once."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TYPE_CHECKING

from textual.content import Content

from assistant.values.markdown import link_definitions
from tui.markdown.blocks import Words, blocks_of, first_number, has_blank_before, item_blocks
from tui.markdown.code import Code
from tui.markdown.lines import Block, Line
from tui.markdown.parser import parse
from tui.markdown.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markdown_it.tree import SyntaxTreeNode

MOST_PARSED = 4000
"""Characters: an open block that is longer is shown as plain words until it closes."""
SEARCHED_AFTER = 1.25
"""The end of such a block is looked for again when it has grown by a quarter."""

_LISTS = frozenset({"bullet_list", "ordered_list"})


@dataclass(frozen=True, slots=True)
class _List:
    """A list whose last item is open: that item's number (None: a bullet) and gap."""

    number: int | None
    gap: bool


class Document:
    """Markdown that grows at its end.

    CommonMark is read line by line, so a top-level block that was followed by
    another one never changes again. More than that: an item of a list is settled
    when the next one begins, a row of a table and a line of code when it ends. What
    is still open is a few lines, shown as the Markdown that they are so far.
    """

    def __init__(self, text: str = "") -> None:
        """Show ``text``, whose end is known, or grow."""
        self._definitions: Mapping[str, object] = link_definitions(text)
        self._settled: list[Block] = []
        self._shown: list[Block] = []
        """The blocks of the open text."""
        self._open = ""
        self._growing: Table | Code | _List | None = None
        """Settled block that the first block of the open text continues."""
        self._prefix = ""
        """The lines that make a parser go on with it: a table's header, a fence."""
        self._searched = 0
        """The length of the open text when its end was last looked for in vain."""
        self._width = -1
        self._tops: list[int] = [0]
        """The first row of every block, its gap included, up to the first that may have changed."""
        self._is_measured = True
        if text:
            self.grow(text)
            self.finish()

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (*self._settled, *self._shown)

    def grow(self, text: str) -> None:
        """Add what was written since the last call."""
        self._touch()
        self._open += text
        if "\n" in text and (
            len(self._open) <= MOST_PARSED or len(self._open) > SEARCHED_AFTER * self._searched
        ):
            self._settle()
            self._searched = len(self._open)
        self._show_open()

    def finish(self) -> None:
        """Settle what is open: the text is complete."""
        self._touch()
        nodes, lines = self._parsed(self._open)
        for node in nodes:
            self._add(node, lines)
        self._stop_growing()
        self._open = ""
        self._show_open()

    def height(self, width: int) -> int:
        """Return the number of rows at ``width`` cells."""
        return self._measured(width)[-1]

    def line(self, width: int, y: int) -> Line | None:
        """Return one row; None for the blank one between two blocks, and below the last."""
        tops = self._measured(width)
        index = bisect_right(tops, y) - 1
        if index >= len(tops) - 1:
            return None
        block = self._block(index)
        y -= tops[index] + int(block.gap and index > 0)
        return block.line(width, y) if y >= 0 else None

    def _block(self, index: int) -> Block:
        settled = len(self._settled)
        return self._settled[index] if index < settled else self._shown[index - settled]

    def _touch(self) -> None:
        """Forget the heights of the last settled block, which may grow, and of what follows."""
        del self._tops[max(1, len(self._settled)) :]
        self._is_measured = False

    def _measured(self, width: int) -> Sequence[int]:
        """Return the first row of every block, its gap included, and at last the number of rows."""
        if self._is_measured and width == self._width:
            return self._tops
        if width != self._width:
            self._tops, self._width = [0], width
        begin = len(self._tops) - 1
        heights = (
            block.height(width) + int(block.gap and index > 0)
            for index, block in enumerate(chain(self._settled[begin:], self._shown), begin)
        )
        self._tops += list(accumulate(heights, initial=self._tops[-1]))[1:]
        self._is_measured = True
        return self._tops

    # Cutting

    def _parsed(self, text: str) -> tuple[list[SyntaxTreeNode], list[str]]:
        source = self._prefix + text
        return parse(source, self._definitions), source.split("\n")

    def _settle(self) -> None:
        """Move all that can't change any more from the open text to the settled blocks.

        An unfinished last line is not looked at: it might still become a list
        item, a fence or a table row.
        """
        length = self._open.rfind("\n") + 1
        unfinished = self._open[length:]
        nodes, lines = self._parsed(self._open[:length])
        if not nodes:
            self._open = unfinished  # nothing but blank lines
            return
        *before, last = nodes
        for node in before:
            self._add(node, lines)
        assert last.map is not None
        start, end = last.map
        if _is_closed(last, lines):
            self._add(last, lines)
            start = end
        elif last.type in _LISTS:
            start = self._add_items(last, lines)
        elif last.type in {"table", "fence"}:
            self._add_part(last, lines)
            start = end
        self._open = "\n".join(lines[start:]) + unfinished

    def _add(self, node: SyntaxTreeNode, lines: Sequence[str]) -> None:
        """Settle a whole block, or the rest of the growing one."""
        if isinstance(self._growing, Table):
            self._growing.append(node)
        elif isinstance(self._growing, Code):
            self._growing.append(node.content)
        elif self._growing is not None:
            self._settled += item_blocks(node, lines, self._growing.number, gap=self._growing.gap)
        else:
            self._settled += blocks_of(node, lines)
        self._stop_growing()

    def _add_items(self, node: SyntaxTreeNode, lines: Sequence[str]) -> int:
        """Settle all items of a list but the last; return the line where that begins."""
        known = self._growing if isinstance(self._growing, _List) else None
        number, gap = (known.number, known.gap) if known else (first_number(node), True)
        last = node.children[-1]
        assert last.map is not None
        if len(node.children) > 1:
            self._settled += item_blocks(node, lines, number, gap=gap)[:-1]
            number = None if number is None else number + len(node.children) - 1
            gap = has_blank_before(last, lines)
        self._growing = _List(number, gap)
        return last.map[0]

    def _add_part(self, node: SyntaxTreeNode, lines: Sequence[str]) -> None:
        """Settle the rows of a table, the lines of a fenced block, that are complete."""
        assert node.map is not None
        start = node.map[0]
        if isinstance(self._growing, Table):
            self._growing.append(node)
        elif isinstance(self._growing, Code):
            self._growing.append(node.content)
        else:
            is_table = node.type == "table"
            self._prefix = "".join(f"{line}\n" for line in lines[start : start + 1 + is_table])
            self._growing = Table(node, gap=True) if is_table else Code(node.info, gap=True)
            if isinstance(self._growing, Code):
                self._growing.append(node.content)
            self._settled.append(self._growing)

    def _stop_growing(self) -> None:
        growing, self._growing, self._prefix = self._growing, None, ""
        if isinstance(growing, Table):
            growing.show_open(None)
        elif isinstance(growing, Code):
            growing.close()

    def _show_open(self) -> None:
        """Show the open text as the Markdown that it is so far."""
        self._shown = []
        if len(self._open) > MOST_PARSED:
            self._shown = [Words(Content(self._open.strip("\n")), gap=True)]
            return
        nodes, lines = self._parsed(self._open)
        growing = self._growing
        for index, node in enumerate(nodes):
            if index or growing is None:
                self._shown += blocks_of(node, lines)
            elif isinstance(growing, Table):
                growing.show_open(node)
            elif isinstance(growing, Code):
                growing.show_open(node.content)
            else:
                self._shown += item_blocks(node, lines, growing.number, gap=growing.gap)


def _is_closed(node: SyntaxTreeNode, lines: Sequence[str]) -> bool:
    """Say whether a block can't go on, whatever comes after these complete lines."""
    assert node.map is not None
    start, end = node.map
    match node.type:
        case "heading" | "hr":
            return True
        case "paragraph" | "table" | "blockquote":
            # ``lines`` ends with what comes after the last line break: nothing
            return not lines[-2].strip(" \t")
        case "fence":
            return end - start > 1 and _closes(lines[end - 1], node.markup)
    return False  # lists and indented code may go on after a blank line


def _closes(line: str, fence: str) -> bool:
    """Say whether the last line of a fenced block is its closing fence."""
    bare = line.strip()
    return bare.startswith(fence) and not bare.strip(fence[0])
