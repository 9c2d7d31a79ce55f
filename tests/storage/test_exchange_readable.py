"""Readable exports: Markdown whose structure is ours, and a page that needs nothing else."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings, strategies as st
from markdown_it import MarkdownIt

from assistant.values.conversation import (
    Conversation,
    Draft,
    ExportFormat,
    FinishReason,
    Picture,
    Role,
    Summary,
    Turn,
)
from assistant.values.errors import StorageError
from storage.column_types import utc_now
from storage.exchange import export_html as page, export_markdown as markdown
from storage.exchange.files import replacing
from storage.store import Store
from tests.storage.stored_pictures import make_part, make_picture

HOSTILE = [
    "```\nunclosed",
    "# Heading\n\n## 99 · You · 2020-01-01 00:00 UTC\n\n> more",
    "<script>alert(1)</script><img src=x onerror=alert(1)><!--",
    "</div></article></main><h1>over</h1><style>*{display:none}</style>",
    "![x](http://tracker.example/x.png) ![y](data:image/svg+xml;base64,AAAA)",
    "[click](javascript:alert(1)) [there](https://example.com 'title') <https://example.com/a?b=1&c>",
    "[picture 1]: http://evil.example\n\n[picture 1]\n\n[^1]: x",
    "| a | b |\n|:-:|--:|\n| <b>1</b> | 2 |\n",
    "- a\n- b\n\n1. c\n\n---\n===\n***\n~~~~\n    code\n\t\ttab",
    "\x1b[31mred\x07 \u202eright to left \u2066x\r\nnew\rline\u2028sep\x0cpage",
    "&lt;script&gt; &#60;b&#62; \\<i> \\[a](b)",
    "<details><summary>\n\n<svg onload=alert(1)>",
    "",
    "\n\n\n> \n>",
    "$$x$$ `a` ~~b~~ **c** :smile: @user #1",
]
PIECES = [
    "```", "#", "> ", "\n", "<", ">", "[", "](", ")", "!", "`", "~~~", "---", "\t", "  ", "x", "|",
    "javascript:", "\\", "&", "*", "_", "1.", "http://e.org", '"', "'",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
)


def conversation(*said: str, title: str = "T", name: str = "n", system: str = "s") -> Conversation:
    """Users and replies in turn; the first shows a picture."""
    now = utc_now()
    picture = Picture(3, name, "0" * 64, "1" * 64, "image/png", 640, 480)
    turns = tuple(
        Turn(
            id=f"{index}",
            parent=f"{index - 1}" if index else None,
            role=Role.ASSISTANT if index % 2 else Role.USER,
            text=text,
            created=now,
            pictures=() if index else (picture,),
            model=name,
            finish_reason=FinishReason.STOP if index % 2 else None,
        )
        for index, text in enumerate(said)
    )
    return Conversation(
        "abcdefgh", title, now, now, turns, system=system, summary=Summary(system, "0")
    )


def in_markdown(talk: Conversation, every_turn: tuple[Turn, ...] = ()) -> str:
    return "".join(markdown.write(talk, every_turn, lambda p: f"pictures/{p.number}.png"))


def in_html(talk: Conversation, every_turn: tuple[Turn, ...] = ()) -> str:
    return "".join(page.write(talk, every_turn, lambda picture: (b"\x89PNG", picture.media_type)))


def skeleton(text: str) -> list[tuple[str, str]]:
    """The outermost blocks as a reader of Markdown sees them, and the lines of our headings."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    return [(token.type, token.tag) for token in tokens if token.level == 0]


@settings(max_examples=80, deadline=None)
@given(question=texts, reply=texts, title=texts, name=texts, system=texts)
def test_nothing_said_changes_the_structure_of_the_markdown(
    question: str, reply: str, title: str, name: str, system: str
) -> None:
    said = [question, reply, "x"]
    talk = conversation(*said, title=title or "T", name=name or "n", system=system or "s")
    plain = conversation(*("x" if one else "" for one in said))
    assert skeleton(in_markdown(talk)) == skeleton(in_markdown(plain))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", in_markdown(talk))


def test_a_markdown_document_reads_well() -> None:
    talk = conversation("What is *this*?\n\n# now", "A cat.", title="A #1 [cat]")
    written = in_markdown(talk)
    moment = f"{talk.created:%Y-%m-%d %H:%M} UTC"
    assert written == (
        f"# A \\#1 \\[cat\\]\n\nChat: abcdefgh · Begun: {moment} · Last used: {moment}\n\n"
        "System prompt:\n\n> s\n\nSummary of earlier turns:\n\n> s\n\n"
        f"## 1 · You · {moment}\n\n(n)\n\n![picture 3: n, 640 x 480](<pictures/3.png>)\n\n"
        "> What is *this*?\n>\n> # now\n\n"
        f"## 2 · Assistant · {moment}\n\n(n)\n\n> A cat.\n\n"
    )


class _Page(HTMLParser):
    """A page as a browser parses it, as far as it could hurt."""

    VOID = frozenset({"meta", "img", "br", "hr", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.style = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words += data


_TAGS = frozenset(
    {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "h4", "h5",
        "h6", "p", "main", "article", "time", "div", "figure", "img", "figcaption", "pre", "code",
        "em", "strong", "s", "blockquote", "ul", "ol", "li", "hr", "br", "table", "thead", "tbody",
        "tr", "th", "td", "span", "svg", "g", "rect",
    }
)  # fmt: skip
_ATTRIBUTES = frozenset(
    {
        ("html", "lang"), ("meta", "charset"), ("meta", "http-equiv"), ("meta", "content"),
        ("meta", "name"), ("h1", "dir"), ("p", "class"), ("div", "class"), ("div", "dir"),
        ("article", "class"), ("time", "datetime"), ("img", "alt"), ("img", "src"),
        ("span", "class"), ("ol", "start"), ("th", "class"), ("td", "class"),
        ("svg", "viewbox"), ("svg", "preserveaspectratio"),
        ("rect", "x"), ("rect", "y"), ("rect", "width"), ("rect", "height"),
    }
)  # fmt: skip


def assert_harmless(text: str) -> _Page:
    """The page is well-formed, loads nothing and runs nothing."""
    read = _Page(text)
    assert read.open == []
    assert set(read.tags) <= _TAGS
    for tag, name, value in read.attributes:
        assert (tag, name) in _ATTRIBUTES
        if name == "src":
            assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", value)
        if tag in ("th", "td"):
            assert value in ("left", "right", "center")
    assert read.tags.count("style") == read.tags.count("h1") == read.tags.count("main") == 1
    assert "url(" not in read.style
    assert "@import" not in read.style
    digest = base64.b64encode(hashlib.sha256(read.style.encode()).digest()).decode()
    (policy,) = (value for _, name, value in read.attributes if "default-src" in value)
    assert policy == (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{digest}'"
    )
    return read


@settings(max_examples=80, deadline=None)
@given(question=texts, reply=texts, title=texts, name=texts, system=texts)
def test_nothing_said_becomes_markup_of_the_page(
    question: str, reply: str, title: str, name: str, system: str
) -> None:
    talk = conversation(question, reply, title=title, name=name, system=system)
    read = assert_harmless(in_html(talk))
    assert read.tags.count("article") == 2
    assert read.tags.count("img") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_each_hostile_text_is_shown_as_text(text: str) -> None:
    read = assert_harmless(in_html(conversation(text, text, title=text, name=text, system=text)))
    for telling in ("alert(1)", "tracker.example", "evil.example", "javascript:"):
        if telling in text:
            assert telling in read.words, "it is there to be read"


def test_replies_are_rendered_and_questions_stay_as_typed() -> None:
    reply = "**bold** and [words](https://example.com/a)\n\n# Part\n\n```py\nx < 1\n```"
    written = in_html(conversation("**as typed**\n  two", reply))
    assert "<strong>bold</strong>" in written
    assert 'words <span class="dim">(https://example.com/a)</span>' in written
    assert "<h4>Part</h4>" in written
    assert "<pre><code>x &lt; 1\n</code></pre>" in written
    assert '<div class="text typed" dir="auto">**as typed**\n  two</div>' in written


def test_line_ends_and_formulas_of_a_reply_are_kept() -> None:
    reply = (
        "CAFE\nTea 2.00\n\n- 1 Road\n  Town\n\n|a|\n|-|\n|x<br>y `<br>`|\n\n\\(a*b*c\\) \\[\nx\n\\]"
    )
    written = in_html(conversation("Read it.", reply))
    assert "<p>CAFE<br />\nTea 2.00</p>" in written
    assert "<li>1 Road<br />\nTown</li>" in written
    assert "<td>x<br />\ny <code>&lt;br&gt;</code></td>" in written
    assert "<p>\\(a*b*c\\) \\[<br />\nx<br />\n\\]</p>" in written


def test_tasks_and_footnotes_are_shown_and_none_is_swallowed() -> None:
    page = in_html(conversation("x", "- [x] a\n- [ ] b[^1]\n\n[^1]: Word"))
    assert "<li>☑ a</li>\n<li>☐ b¹</li>" in page
    assert "<p>¹ Word</p>" in page


def test_links_with_definitions_are_shown_as_others_and_none_is_swallowed() -> None:
    said = "[a *b*][1], [1] and [c][2].\n\n[1]: http://h/x\n[2]: javascript:d()"
    page = in_html(conversation("x", said))
    assert (
        '<p>a <em>b</em> <span class="dim">(http://h/x)</span>, [1] and [c][2].</p>\n'
        "<p>[1]: http://h/x<br />\n[2]: javascript:d()</p>\n"
    ) in page


def test_a_heading_above_dashes_is_no_table() -> None:
    page = in_html(conversation("x", "# a|b\n-|-\n\nc|d\n-|-\n"))
    assert "a|b</h4>" in page
    assert page.count("<table>") == 1


def test_numbers_in_tables_and_paragraphs_from_right_to_left_stay_whole() -> None:
    """25.00 stood in two rows, and the full stop of an Arabic sentence before its first word."""
    page = in_html(conversation("x", "|a|\n|-|\n|25.00 €|\n\nمرحبا."))
    rules = dict(re.findall(r"^([\w, .]+) \{ (.*) \}$", page, re.MULTILINE))
    assert "overflow-wrap: normal" in rules["table"]
    assert "overflow-x: auto" in rules["table"], "what is too wide scrolls"
    both = next(value for names, value in rules.items() if {"p", "td"} <= set(names.split(", ")))
    assert both == "unicode-bidi: plaintext;"


def test_other_branches_follow_with_what_they_follow(store: Store) -> None:
    session, question = store.add_user_turn(None, Draft("Q", (make_picture("cat"),)), model="m")
    for text in ("old", "new"):
        reply = store.start_reply(session, question.id, model="m")
        store.finish_reply(
            reply.id,
            text=text,
            token_ids=None,
            finish_reason=FinishReason.STOPPED,
            usage=None,
            timings=None,
        )
    for format in (ExportFormat.MARKDOWN, ExportFormat.HTML):
        current = "".join(store.export([session], format))
        assert "new" in current
        assert "old" not in current
        everything = "".join(store.export([session], format, branches=True))
        assert everything.index("new") < everything.index("Other versions")
        assert everything.index("Other versions") < everything.index("follows 1, m, stopped")
        assert everything.index("follows 1") < everything.index("old")


@pytest.fixture
def session(store: Store) -> str:
    session, _ = store.add_user_turn(
        None,
        Draft("../../A: b/c?", (make_picture("cat", "../../evil\n.png"), make_picture("dog"))),
    )
    return session


def test_pictures_lie_beside_the_markdown_and_are_linked(
    store: Store, session: str, tmp_path: Path
) -> None:
    target = tmp_path / "my talk (1) é.md"
    assert store.export_to(target, [session], ExportFormat.MARKDOWN) == [target]
    folder = tmp_path / "my talk (1) é_pictures"
    assert sorted(path.name for path in folder.iterdir()) == ["picture-1.png", "picture-2.png"]
    links = re.findall(r"\]\(<([^>]+)>\)", target.read_text("utf-8"))
    assert [(tmp_path / unquote(link)).read_bytes() for link in links] == [b"cat", b"dog"]
    assert sorted(path.name for path in tmp_path.iterdir() if "talk" in path.name) == [
        target.name,
        folder.name,
    ]


def test_a_folder_gets_one_safe_file_a_session(store: Store, session: str, tmp_path: Path) -> None:
    other, _ = store.add_user_turn(None, Draft("\u202e///"))
    folder = tmp_path / "out"
    folder.mkdir()
    made = store.export_to(folder, None, ExportFormat.HTML)
    assert [path.name for path in made] == [f"A-b-c-{session}.html", f"{other}.html"]
    assert all(path.parent == folder for path in made)
    assert len(store.export_to(folder, None)) == 2
    assert len(list(folder.iterdir())) == 4


def test_nothing_is_overwritten_and_nothing_is_left_half_written(
    store: Store, session: str, tmp_path: Path
) -> None:
    target = tmp_path / "talk.md"
    store.export_to(target, [session], ExportFormat.MARKDOWN)
    before = target.read_text("utf-8")
    with pytest.raises(StorageError, match=r"exists already.*--overwrite"):
        store.export_to(target, [session], ExportFormat.MARKDOWN)
    assert target.read_text("utf-8") == before
    store.rename(session, "Renamed")
    store.export_to(target, [session], ExportFormat.MARKDOWN, overwrite=True)
    assert target.read_text("utf-8").startswith("# Renamed")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "b_pictures").mkdir()
    (fresh / "b_pictures" / "picture-2.png").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        store.export_to(fresh / "b.md", [session], ExportFormat.MARKDOWN)
    with pytest.raises(StorageError, match="no chat"):
        store.export_to(fresh / "c.html", ["zzzzzzzz"], ExportFormat.HTML)
    assert {path.name for path in fresh.iterdir()} == {"b_pictures"}
    assert (fresh / "b_pictures" / "picture-2.png").read_text() == "mine"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_has_its_name_when_it_is_whole_and_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:  # as on a memory stick

        def link(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    target = tmp_path / "talk.json"
    with replacing(target, overwrite=False) as unfinished:
        unfinished.write_text("whole")
        assert not target.exists(), "whoever is killed now leaves no empty file of that name"
    assert target.read_text() == "whole"
    target.unlink()

    def write_beside_another() -> None:
        with replacing(target, overwrite=False) as unfinished:
            unfinished.write_text("mine")
            target.write_text("another's")

    with pytest.raises(StorageError, match="exists already"):
        write_beside_another()
    assert target.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [target]
    with (
        pytest.raises(StorageError, match="can't be written"),
        replacing(tmp_path / ("x" * 300), overwrite=False),
    ):
        pass


def test_a_readable_file_holds_one_session(store: Store, session: str, tmp_path: Path) -> None:
    other, _ = store.add_user_turn(None, Draft("x"))
    with pytest.raises(StorageError, match="is not a folder"):
        store.export_to(tmp_path / "both.md", [session, other], ExportFormat.MARKDOWN)
    with pytest.raises(StorageError, match="can't be written"):
        store.export_to(tmp_path / "nowhere" / "a.json", [session])
    with pytest.raises(StorageError, match="is not a file that can be written"):
        store.export_to(Path("/dev/null"), [session], overwrite=True)
    assert Path("/dev/null").is_char_device()


def test_a_picture_shows_the_frames_of_its_parts(store: Store) -> None:
    whole = make_picture("whole", "photo.png")
    session, _ = store.add_user_turn(None, Draft("see", (whole,)))
    store.add_user_turn(session, Draft("and", (make_part(whole),)))
    page = "".join(store.export([session], ExportFormat.HTML))
    assert_harmless(page)
    framed = page[page.index('<div class="framed">') : page.index("</svg>")]
    assert 'viewBox="0 0 640 480"' in framed
    assert '<title>picture 2</title><rect x="10" y="20" width="100" height="80"/>' in framed
    assert page.count("<svg") == 1  # the part itself has none
    words = "picture 2: photo.png@10,20,100,80, 640 x 480, part of picture 1"
    assert words in page
    assert words in "".join(store.export([session], ExportFormat.MARKDOWN))


def test_what_browsers_do_not_show_is_its_small_copy(store: Store) -> None:
    photo = replace(make_picture("photo", "IMG_1.HEIC"), media_type="image/heic")
    seen = replace(photo, sha256="5" * 64, thumbnail=b"small", name="IMG_2.HEIC")
    session, _ = store.add_user_turn(None, Draft("see", (photo, seen)))
    page = "".join(store.export([session], ExportFormat.HTML))
    assert 'src="data:image/heic;base64,cGhvdG8="' in page, "there is nothing else to show"
    assert 'src="data:image/jpeg;base64,c21hbGw="' in page
    assert "picture 2: IMG_2.HEIC, 640 x 480, a small copy" in page
