"""Parser of the Markdown dialect, and its inline parts as styled text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from textual.content import Content, Span
from textual.style import Style

from assistant.values.markdown import (
    LINE_BREAK,
    keep_blocks_before_tables,
    keep_formulas,
    keep_labels,
    mark_tasks_and_footnotes,
)

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

CODE_STYLE = "$secondary on $phi-code"
LINK_STYLE = "$link-color underline"

_OPENING = {"em": "italic", "strong": "bold", "s": "strike"}
_BLANKS = re.compile(r"[^\S ]+")
"""White space other than blanks, which may align columns."""


@cache
def parser() -> MarkdownIt:
    """Make a parser of GitHub's dialect that shows HTML as text and reads no link definitions.

    Without link definitions every block stands for itself, so that a reply can be cut into
    blocks while it streams.
    """
    from markdown_it import MarkdownIt  # late: a tenth of what the first screen may take

    dialect = keep_labels(MarkdownIt("gfm-like", {"html": False}))
    return mark_tasks_and_footnotes(keep_formulas(keep_blocks_before_tables(dialect)))


def parse(text: str, definitions: Mapping[str, object]) -> list[SyntaxTreeNode]:
    """Return the top-level blocks of ``text``; ``definitions`` are the links of the whole."""
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(parser().parse(text, dict(definitions))).children


def inline(node: SyntaxTreeNode) -> Content:
    """Return the text of an inline node (or of a block that has one) with its styles.

    A link carries its address as an action, ``link(address)``; nothing is ever opened.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    position = 0

    def add(text: str) -> None:
        nonlocal position
        pieces.append(text)
        position += len(text)

    def walk(nodes: list[SyntaxTreeNode]) -> None:
        for child in nodes:
            start = position
            match child.type:
                case "text":
                    add(LINE_BREAK.sub("\n", _BLANKS.sub(" ", child.content)))
                case "softbreak" | "hardbreak":
                    add("\n")
                case "code_inline":
                    add(_BLANKS.sub(" ", child.content))
                    spans.append(Span(start, position, CODE_STYLE))
                case "em" | "strong" | "s":
                    walk(child.children)
                    spans.append(Span(start, position, _OPENING[child.type]))
                case "link":
                    walk(child.children)
                    spans.extend(_link(start, position, child.attrs.get("href", "")))
                case "image":
                    add("▣ ")
                    walk(child.children)
                    spans.extend(_link(start, position, child.attrs.get("src", "")))
                case "inline":
                    walk(child.children)
                case _:
                    add(child.content)

    walk(node.children)
    return Content("".join(pieces), spans=spans)


def _link(start: int, end: int, address: object) -> tuple[Span, Span]:
    action = Style.from_meta({"@click": f"link({str(address)!r})"})
    return Span(start, end, LINK_STYLE), Span(start, end, action)
