"""Markdown of replies: what models write and plain CommonMark would swallow.

Line ends mean something in receipts, addresses and poems. ``<br>`` is how models break a line in
a cell. Formulas stay as they are written, because no terminal sets them. Boxes of tasks and numbers
of footnotes are GitHub's. Definitions of links (``[1]: address``) stay on the page, as a list of
sources would.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline

FORMULA = "formula"
"""Type of the inline token whose ``content`` is a formula with its delimiters."""

LABEL = "label"
"""``markup`` of the token of a link whose words are the label of its definition."""

LINE_BREAK = re.compile(r"[ \t]*<br[ \t]*/?>[ \t]*", re.IGNORECASE)

_FORMULA = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]|\$\$.+?\$\$|\\[()\[\]]", re.DOTALL)

_DEFINITION = re.compile(r"^ {0,3}\[[^\]^][^\]]*\]:", re.MULTILINE)
_LABEL = re.compile(r"\[([^\[\]\\]+)\](?!\(|\[\])")
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


def link_definitions(text: str) -> dict[str, Any]:
    """Return the environment for a parser of ``text`` in which ``[words][1]`` is a link.

    {} where the text defines no links. The parser itself knows no definitions, which it would
    leave out of the page, as it would footnotes of one word.
    """
    found: dict[str, Any] = {}
    if _DEFINITION.search(text):
        _parser_of_definitions().parse(text, found)
    defined = found.get("references", {})
    defined = {label: link for label, link in defined.items() if not label.startswith("^")}
    return {"references": defined} if defined else {}


def keep_labels(parser: MarkdownIt) -> MarkdownIt:
    """Show ``[1]`` with its brackets where that is a link, and the definition as it is written."""
    parser.inline.ruler.before("link", "label", _label)
    parser.block.ruler.disable("reference")
    return parser


@cache
def _parser_of_definitions() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").disable("inline")


def _label(state: StateInline, silent: bool) -> bool:
    from markdown_it.common.utils import normalizeReference

    found = _LABEL.match(state.src, state.pos, state.posMax)
    links = state.env.get("references", {})
    link = links.get(normalizeReference(found[1])) if found else None
    if found is None or link is None:
        return False
    begins_line = state.src[: state.pos].rpartition("\n")[2].strip() == ""
    defines = begins_line and state.src.startswith(":", found.end())
    if not silent:
        if not defines:
            opening = state.push("link_open", "a", 1)
            opening.attrs, opening.markup = {"href": link["href"]}, LABEL
        state.push("text", "", 0).content = found[0]
        if not defines:
            state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


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
