"""Where a growing Markdown text can be cut: blocks that no later line can change any more."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


def new_parser() -> MarkdownIt:
    """The dialect of replies: GitHub's, except that HTML is shown as text and not swallowed."""
    from markdown_it import MarkdownIt  # late: see ReplyText

    return MarkdownIt("gfm-like", {"html": False})


@cache
def _parser() -> MarkdownIt:
    return new_parser()


def closed_length(text: str) -> int:
    """Return how many characters of ``text`` are blocks that are closed for good.

    CommonMark is read line by line, so a top-level block that was followed by
    another one never changes again. An unfinished last line is not looked at:
    it might still become a list item, a fence or a table row.
    """
    complete = text.rfind("\n") + 1
    if not complete:
        return 0
    lines = text[:complete].splitlines(keepends=True)
    last: Token | None = None
    for token in _parser().parse(text[:complete]):
        if token.level == 0 and token.map is not None and token.nesting >= 0:
            last = token
    if last is None or last.map is None:
        return complete  # nothing but blank lines
    start, end = last.map
    blank_after = not lines[-1].strip()
    if blank_after and last.type in {"paragraph_open", "heading_open", "hr", "table_open"}:
        return complete  # a blank line closes these; lists, fences and code may go on after one
    if last.type == "fence" and end - start > 1 and _closes(lines[end - 1], last.markup):
        return sum(len(line) for line in lines[:end])
    return sum(len(line) for line in lines[:start])


def _closes(line: str, fence: str) -> bool:
    """Say whether the last line of a fenced block is its closing fence."""
    bare = line.strip()
    return bare.startswith(fence) and not bare.strip(fence[0])
