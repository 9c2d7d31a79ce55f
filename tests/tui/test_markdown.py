"""Replies as rows of cells: however a text arrives, it reads as if it had come at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings, strategies as st
from textual.content import Content
from textual.geometry import Offset
from textual.selection import SELECT_ALL, Selection
from textual.style import Style

from tests.tui.desk import Desk, Sheet
from tui.markdown.document import MOST_PARSED, Document
from tui.markdown.lines import wrapped
from tui.widgets.reply_text import ReplyText


def whole(text: str) -> Document:
    document = Document()
    document.grow(text)
    document.finish()
    return document


def rows(document: Document, width: int = 40) -> list[Content]:
    found = (document.line(width, y) for y in range(document.height(width)))
    return [line.content if line else Content("") for line in found]


def drawn(text: str, width: int = 40) -> list[str]:
    return [row.plain.rstrip() for row in rows(whole(text), width)]


LINE = st.sampled_from(
    ["- a", "  b", "1. c", "2. d", "7) e", "", "", "```", "```py", "text", "# h", "> q", "| a |",
     "|---|", "|-|-|", "| x | y |", "| a cell of many words | y |",
     "a<br>b", "| a<br/>b | c |", "\\[", "x \\] y", "$$",
     "===", "    code", "***", "<div>", "~~~", "* x", "\tz", "-",
     "   - n", "- [x]", "- [ ] t", "[^1]: f", "  - m", "> - w", "[r]: /x",
     "[r] and **half", "`x", "def f(x):",
     "\N{SNOWMAN}\u2028y"]
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(LINE, max_size=14).map("\n".join), st.data())
def test_a_stream_cut_anywhere_reads_as_the_whole_text(text: str, data: st.DataObject) -> None:
    document, start = Document(), 0
    while start < len(text):
        end = data.draw(st.integers(start + 1, min(len(text), start + 12)))
        document.grow(text[start:end])
        counted = rows(document), rows(document, 9)  # what changed, and then everything
        assert (rows(document), rows(document, 9)) == counted
        start = end
    document.finish()
    assert rows(document) == rows(whole(text))


@pytest.mark.parametrize("text", ["a\n\n\u2028\nb\n", "> - x\n\n\u2029\n<b>c\n"])
def test_a_line_of_white_space_that_is_none_in_markdown(text: str) -> None:
    document = Document()
    for letter in text:
        document.grow(letter)
    document.finish()
    assert rows(document) == rows(whole(text))


@settings(max_examples=60, deadline=None)
@given(st.lists(LINE, max_size=10).map("\n".join), st.integers(1, 30))
def test_no_row_is_wider_than_the_window_or_missing(text: str, width: int) -> None:
    document = whole(text)
    for y in range(document.height(width)):
        line = document.line(width, y)
        # a list's mark, a quote's bar and a code's margin keep their cells in a window without room
        assert line is None or width < 20 or line.content.cell_length <= width


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a *b* **c** ~~d~~ `e`", ["a b c d e"]),
        ("- one\n- two\n  - deep\n\n\n- loose", [" • one", " • two", "    ◦ deep", "", " • loose"]),
        ("9. nine\n10. ten", [" 9. nine", "10. ten"]),
        ("3. a\n3. b\n\ntext", [" 3. a", " 4. b", "", "text"]),
        ("> said\n>\n> more", ["▌ said", "▌", "▌ more"]),
        ("<b>kept</b> &amp; [x](y)", ["<b>kept</b> & x"]),
        ("one\\\ntwo", ["one", "two"]),
        ("[r]: /address\n\n[r]", ["[r]: /address", "", "[r]"]),
        ("CAFE NERO\n2 Tea   5.00\n**Total 5.00**", ["CAFE NERO", "2 Tea   5.00", "Total 5.00"]),
        ("- Ada\n  1 Road\n\n> a\n> b", [" • Ada", "   1 Road", "", "▌ a", "▌ b"]),
        ("one<br>two <BR/> three `<br>`", ["one", "two", "three <br>"]),
        ("- [x] a\n- [ ] b [ ]\n- [x]y", [" • ☑ a", " • ☐ b [ ]", " • [x]y"]),
        ("one[^1] `[^1]`\n\n[^1]: Note.", ["one¹ [^1]", "", "¹ Note."]),
        (r"so \(a*b*c\) and \[ x_1\_2 \\ \]", [r"so \(a*b*c\) and \[ x_1\_2 \\ \]"]),
        ("\\[\nx\n\\] $$a *b* c$$ \\(cut", ["\\[", "x", "\\] $$a *b* c$$ \\(cut"]),
        ("|a|b|\n|-|-|\n|x<br>long|y|", [" a    │ b", "──────┼───", " x    │ y", " long │"]),
        (
            "|l|r|\n|-|-:|\n|longer|1|\n|a|100|",
            [" l      │   r", "────────┼─────", " longer │   1", " a      │ 100"],
        ),
    ],
)
def test_blocks(text: str, expected: list[str]) -> None:
    assert drawn(text) == expected


def test_a_heading_or_a_fence_above_dashes_is_no_table() -> None:
    """The parser's own order asks for tables first, GitHub's does not."""
    assert drawn("# a|b\n-|-\n")[0] == "a|b"
    assert drawn("~~~ |a\n|-|-|\n~~~")[1].strip() == "|-|-|"
    assert "│" in drawn("a|b\n-|-\n1|2")[0]


def test_a_table_in_a_narrow_window_wraps_its_cells_and_then_becomes_records() -> None:
    text = "| name | said |\n|---|---|\n| Ada | several words of hers |\n"
    assert drawn(text, 24) == [
        " name │ said",
        "──────┼─────────────────",
        " Ada  │ several words",
        "      │ of hers",
    ]
    assert drawn(text, 11) == ["name: Ada", "said:", "several", "words of", "hers", ""]


def test_code_keeps_its_blanks_and_folds_long_lines() -> None:
    code = whole("```py\nif x:\n\n\treturn 1\n" + "y" * 50 + "\n```")
    assert [row.plain.rstrip() for row in rows(code)][1:-1] == [
        "  if x:",
        "",
        "          return 1",
        "  " + "y" * 36,
        "  " + "y" * 14,
    ]


def test_colours_of_growing_code_end_as_those_of_the_whole() -> None:
    text = "```python\n" + '"""\n' + "a = 1\n" * 100 + '"""\nb = 2\n```\n'
    document = Document()
    for line in text.splitlines(keepends=True):
        document.grow(line)
    document.finish()
    assert rows(document) == rows(whole(text))


@dataclass
class Watched:
    """Counts the characters that the parser is given."""

    characters: int = 0


KINDS = {
    "prose": "Some words *in* a paragraph that goes on and on.\n\n" * 200,
    "list": "- an item with **bold** words\n" * 330,
    "numbered": "1. an item with `code`\n   - and one below it\n" * 210,
    "table": "| a | b |\n|---|---|\n" + "| some cell | another cell |\n" * 340,
    "fence": "```python\n" + "x = [1, 2, 3]  # a comment\n" * 370,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_settled_is_never_parsed_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of n characters costs the parser a multiple of n, not of its square."""
    from tui.markdown import document as room

    watched, parse = Watched(), room.parse

    def counting(text: str, definitions: Mapping[str, object]) -> object:
        watched.characters += len(text)
        return parse(text, definitions)

    monkeypatch.setattr(room, "parse", counting)
    text, growing = KINDS[kind], Document()
    for start in range(0, len(text), 20):
        growing.grow(text[start : start + 20])
    assert watched.characters < 20 * len(text)


def test_one_endless_block_is_plain_words_until_it_ends() -> None:
    document = Document()
    document.grow("- one item\n" + "  of **many** words\n" * 400)
    assert len(document.blocks) == 1
    assert "**many**" in rows(document)[1].plain
    assert len(" ".join(row.plain for row in rows(document))) > MOST_PARSED
    document.finish()
    assert "**" not in "".join(row.plain for row in rows(document))


@given(st.text(st.sampled_from("ab \t—漢é"), max_size=60), st.integers(2, 20))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    lines = wrapped(Content(text), width)
    joined = "".join((line.joint if i else "") + line.content.plain for i, line in enumerate(lines))
    assert joined.split() == text.split()


async def test_what_is_copied_is_the_text_and_not_its_breaks() -> None:
    text = "A paragraph of several words.\n\n- an item of some words\n\n> quoted\n\n```\nx = 1\n```"
    async with Sheet(text).run_test(size=(20, 30)) as pilot:
        reply = pilot.app.query_one(ReplyText)
        copied = reply.get_selection(SELECT_ALL)
        assert copied is not None
        assert copied[0].strip().splitlines() == [
            "A paragraph of several words.",
            "",
            " • an item of some words",
            "",
            "quoted",
            "",
            "",
            "x = 1",
        ]
        part = reply.get_selection(Selection(Offset(2, 0), Offset(7, 1)))
        assert part == ("paragraph of several", "\n")


async def test_a_drag_with_the_mouse_selects_in_the_text() -> None:
    async with Sheet("- first\n- second").run_test(size=(20, 5)) as pilot:
        await pilot.mouse_down(offset=(3, 0))
        await pilot.hover(offset=(6, 1))
        await pilot.mouse_up(offset=(6, 1))
        assert pilot.app.screen.get_selected_text() in {"first\n • sec", "first\n • seco"}


async def test_every_style_of_a_reply_exists_in_every_theme(desk: Desk) -> None:
    text = "# a\n## b\n### c\n#### d\n##### e\n###### f\n\n`x` [l](m)\n\n- i\n\n---\n\n> q\n\n"
    document = whole(text + "|t|\n|-|\n|u|\n\n```python\nx\n```\n")
    named = {span.style for row in rows(document) for span in row.spans}
    app = desk.app()
    async with app.run_test():
        for theme in app.available_themes:
            app.theme = theme
            for style in named:
                if isinstance(style, str):
                    Style.parse(style, app.get_css_variables())


DEFINED = "[the *x*][1], [1], a[1] [y][] [no][3] `[x][1]`\n\n[1]: http://h/x\n[y]: /z\n[^n]: Note."


def addresses(reply: ReplyText) -> list[tuple[str, str]]:
    """Return the words of each link, and what a click does."""
    return [
        (row.plain[span.start : span.end], span.style.meta["@click"])
        for row in rows(reply.document, 60)
        for span in row.spans
        if isinstance(span.style, Style)
    ]


async def test_links_that_are_defined_below_them() -> None:
    async with Sheet().run_test(size=(60, 12)) as pilot:
        growing = pilot.app.query_one(ReplyText)
        for letter in DEFINED:
            growing.grow(letter)
        growing.finish()
        whole = ReplyText(DEFINED)
        assert rows(growing.document) == rows(whole.document)
        assert [row.plain for row in rows(whole.document, 60)] == [
            "the x, [1], a[1] y [no][3] [x][1]",
            "",
            "[1]: http://h/x",
            "[y]: /z",
            "[^n]: Note.",
        ]
        link = "link('http://h/x')"
        assert addresses(whole) == [
            ("the x", link),
            ("[1]", link),
            ("[1]", link),
            ("y", "link('/z')"),
            ("http://h/x", link),
        ]
        assert not addresses(ReplyText("[x][1]\n\n[1]: javascript:alert(1)"))
        assert not addresses(ReplyText("[x][1]\n\n```\n[1]: /x\n```"))
