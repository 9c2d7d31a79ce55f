"""Random Markdown: a text that comes in pieces is drawn as the whole one, without escapes."""

from __future__ import annotations

import random

import pytest

from assistant.values.text import plain
from tui.markdown.document import Document

FEW, MANY = 150, 20_000
PIECES = (
    "# ", "## ", "- ", "* ", "1. ", "9999999999. ", "> ", ">> ", "```", "```py\n", "~~~", "\n",
    "\n\n", "  ", "    ", "\t", "|", "|-|-|\n", "|a|b|\n", "<br>", "<b>", "</b>", "&amp;", "&#0;",
    "&#x1b;", "&#27;[31m", "\\(", "\\)", "\\[", "\\]", "$$", "$x$", "**", "*", "_", "__", "`", "``",
    "[a](b)", "[a]: <b> 'c'\n", "![x](y)", "<http://a.b>", "http://x.y/z", "word ", "é", "日本",
    "🟥", "👩‍👩‍👧", "\u200b", "\u2028", "---",
    "===", "***\n", "- [ ] ", "\\", "\\\n", "!", "(", ")",
    "[", "]", "<", "{", "}", ":", "x" * 200, "[^1]", "[^1]: n\n", "<!-- ", "-->", "<div>\n", "\r",
    "\x0c", "\u00a0", "a_b_c ", "~~s~~", "1) ", "+ ", "\n   - ", "\n> - ", "\n1. a\n   ```\n",
)  # fmt: skip


def lines(document: Document, width: int) -> list[str]:
    drawn = (document.line(width, row) for row in range(document.height(width)))
    return ["" if line is None else str(getattr(line, "content", line)) for line in drawn]


def check(seed: int) -> None:
    chosen = random.Random(seed)
    text = plain("".join(chosen.choice(PIECES) for _ in range(chosen.randint(1, 40))))
    width = chosen.choice([1, 2, 5, 20, 80])
    whole = Document()
    whole.grow(text)
    whole.finish()
    grown, at = Document(), 0
    while at < len(text):
        size = chosen.choice([1, 1, 2, 5, 30])
        grown.grow(text[at : at + size])
        at += size
        if chosen.random() < 0.3:  # it is painted in the middle, too
            lines(grown, width)
    grown.finish()
    drawn = lines(whole, width)
    assert drawn == lines(grown, width), (seed, text)
    assert not any("\x1b" in line for line in drawn), (seed, text)


def test_a_text_in_pieces_is_the_whole_one() -> None:
    for seed in range(FEW):
        check(seed)


@pytest.mark.long
def test_many_texts_in_pieces_are_the_whole_ones() -> None:
    for seed in range(FEW, MANY):
        check(seed)
