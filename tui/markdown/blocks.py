"""Kinds of blocks, made from the parser's tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from tui.markdown.code import Code
from tui.markdown.lines import Block, LaidOut, Line, indented, stacked, wrapped
from tui.markdown.parser import inline
from tui.markdown.tables import Table

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

BULLETS = ("•", "◦", "▪")
HEADINGS = (
    "$markdown-h1-color bold underline",
    "$markdown-h2-color bold underline",
    "$markdown-h3-color bold",
    "$markdown-h4-color bold",
    "$markdown-h4-color",
    "$markdown-h4-color italic",
)


class Words(LaidOut):
    """A paragraph or a heading."""

    def __init__(self, content: Content, *, gap: bool) -> None:
        super().__init__(gap=gap)
        self._content = content

    def lay_out(self, width: int) -> Sequence[Line]:
        return wrapped(self._content, width)


class Ruler(LaidOut):
    """A horizontal line between two parts."""

    def lay_out(self, width: int) -> Sequence[Line]:
        return [Line(Content.styled("─" * width, "$phi-line"), lead=width)]


class Item(LaidOut):
    """One item of a list: its mark, and blocks that hang beside it."""

    def __init__(self, mark: str, blocks: Sequence[Block], *, gap: bool) -> None:
        super().__init__(gap=gap)
        self._mark = mark
        self._blocks = blocks

    def lay_out(self, width: int) -> Sequence[Line]:
        mark = Content.styled(self._mark, "$primary")
        inner = stacked(self._blocks, max(1, width - len(mark))) or [Line(Content(""))]
        return indented(inner, mark, Content(" " * len(mark)), copied=True)


class Quote(LaidOut):
    """Blocks behind a bar."""

    def __init__(self, blocks: Sequence[Block], *, gap: bool) -> None:
        super().__init__(gap=gap)
        self._blocks = blocks

    def lay_out(self, width: int) -> Sequence[Line]:
        bar = Content.styled("▌ ", "$phi-faint")
        return indented(stacked(self._blocks, max(1, width - 2)), bar, bar, copied=False)


def first_number(node: SyntaxTreeNode) -> int | None:
    """Return the number of a list's first item; None for a list with bullets."""
    return int(str(node.attrs.get("start", 1))) if node.type == "ordered_list" else None


def has_blank_before(node: SyntaxTreeNode, lines: Sequence[str]) -> bool:
    """Say whether a blank line precedes a block in the source."""
    assert node.map is not None
    start = node.map[0]
    # a quote's bars are no text
    return start > 0 and not lines[start - 1].strip(" \t>")


def item_blocks(
    node: SyntaxTreeNode,
    lines: Sequence[str],
    number: int | None,
    *,
    gap: bool = True,
    depth: int = 0,
) -> list[Block]:
    """Make one block for every item of a list.

    ``number`` is that of the first (None: they have bullets), ``gap`` its gap.
    """
    blocks: list[Block] = []
    for index, item in enumerate(node.children):
        mark = f" {BULLETS[min(depth, 2)]} " if number is None else f"{number + index:>2}. "
        item_gap = has_blank_before(item, lines) if index else gap
        blocks.append(Item(mark, list(_children(item, lines, depth + 1)), gap=item_gap))
    return blocks


def blocks_of(
    node: SyntaxTreeNode, lines: Sequence[str], *, gap: bool = True, depth: int = 0
) -> Iterator[Block]:
    """Make the blocks of one node of the tree, whose source is in ``lines``."""
    match node.type:
        case "heading":
            style = HEADINGS[int(node.tag[1]) - 1]
            yield Words(inline(node).stylize_before(style), gap=gap)
        case "hr":
            yield Ruler(gap=gap)
        case "blockquote":
            yield Quote(list(_children(node, lines, depth)), gap=gap)
        case "bullet_list" | "ordered_list":
            yield from item_blocks(node, lines, first_number(node), gap=gap, depth=depth)
        case "fence" | "code_block":
            code = Code(node.info, gap=gap)
            code.append(node.content)
            code.close()
            yield code
        case "table":
            yield Table(node, gap=gap)
        case _:
            yield Words(inline(node), gap=gap)


def _children(node: SyntaxTreeNode, lines: Sequence[str], depth: int) -> Iterator[Block]:
    for child in node.children:
        yield from blocks_of(child, lines, gap=has_blank_before(child, lines), depth=depth)
