"""Markdown of replies: what models write and plain CommonMark would swallow.

Line ends mean something in receipts, addresses and poems. ``<br>`` is how models break a line in
a cell. Formulas stay as they are written, because no terminal sets them. Boxes of tasks and numbers
of footnotes are GitHub's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline

FORMULA = "formula"
"""Type of the inline token whose ``content`` is a formula with its delimiters."""

LINE_BREAK = re.compile(r"[ \t]*<br[ \t]*/?>[ \t]*", re.IGNORECASE)

_FORMULA = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]|\$\$.+?\$\$|\\[()\[\]]", re.DOTALL)

_TASK = re.compile(r"\[([ xX])\](?=\s)")
_FOOTNOTE = re.compile(r"\[\^(\d{1,3})\](:(?=\s))?")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def mark_tasks_and_footnotes(parser: MarkdownIt) -> MarkdownIt:
    """Show ``- [x]`` as a box, ``[^1]`` as a raised number, in the text and before the note."""
    parser.core.ruler.push("github_marks", _mark)
    return parser


def keep_formulas(parser: MarkdownIt) -> MarkdownIt:
    r"""Make ``\(x\)``, ``\[x\]`` and ``$$x$$`` tokens of the type FORMULA.

    A delimiter without its partner, as in a reply that is cut, keeps its backslash.
    """
    parser.inline.ruler.before("escape", FORMULA, _formula)
    return parser


def keep_blocks_before_tables(parser: MarkdownIt) -> MarkdownIt:
    """Let a table begin where a paragraph could, as GitHub does, and at no heading or fence.

    The parser asks for tables first: ``# a|b`` over ``-|-`` would be one.
    """
    from markdown_it.rules_block import table

    parser.block.ruler.disable("table")
    parser.block.ruler.before("lheading", "github_table", table, {"alt": ["paragraph"]})
    return parser


def _mark(state: StateCore) -> None:
    for index, token in enumerate(state.tokens):
        texts = [child for child in token.children or () if child.type == "text"]
        begins_item = index > 1 and state.tokens[index - 2].type == "list_item_open"
        if begins_item and token.children and token.children[0] in texts:
            text = token.children[0]
            if task := _TASK.match(text.content):
                text.content = ("☐" if task[1] == " " else "☑") + text.content[task.end() :]
        for text in texts:
            text.content = _FOOTNOTE.sub(lambda found: found[1].translate(_RAISED), text.content)


def _formula(state: StateInline, silent: bool) -> bool:
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push(FORMULA, "", 0).content = found[0]
    state.pos = found.end()
    return True
