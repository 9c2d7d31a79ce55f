"""The known ways for Textual to fall over, and that they are shut."""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
import random
import re
from functools import cache

import pytest
from hypothesis import given, strategies as st
from textual import events, on
from textual._wrap import compute_wrap_offsets
from textual.app import App, ComposeResult
from textual.cache import FIFOCache
from textual.containers import Container
from textual.css.model import RuleSet
from textual.dom import DOMNode
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

import tui
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    Sheet,
    area,
    chat,
    idle,
    open_page,
    screen,
    sees,
    send,
    settled,
    shown,
    until,
)
from tui import textual_fixes
from tui.app import PhichatApp
from tui.textual_fixes import GuardedScreen, apply
from tui.themes import THEMES
from tui.widgets.reply_text import ReplyText

MIXED = """# Title

Some *words* and `code`, with [a link](https://example.org).

- one
- two

  more of two
- three

1. first

2. second

```python
x = 1

- no list
```

| a | b |
|---|---|
| 1 | 2 |
| 3 | 4 |

> quoted
> twice

---

Setext
======

The end.
"""


def mouse_down(x: int, y: int) -> events.MouseDown:
    return events.MouseDown(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_click_on_a_block_that_just_went_is_harmless(
    desk: Desk, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual issue 6643; the unguarded half shows that the guard is what helps."""
    session = desk.chat("Hello", "An answer\n\nof two blocks")
    if not guarded:
        monkeypatch.delattr(GuardedScreen, "get_widget_and_offset_at")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "of two blocks")
        block = chat(pilot).query_one(ReplyText)
        x, y = block.region.offset
        with pilot.app.batch_update():  # the compositor keeps the old map for one frame
            await block.remove()
            assert screen(pilot)._compositor.get_widget_and_offset_at(x, y)[0] is block
            if guarded:
                screen(pilot)._forward_event(mouse_down(x, y))
            else:
                with pytest.raises(AttributeError, match="region"):
                    screen(pilot)._forward_event(mouse_down(x, y))


@pytest.mark.slow
async def test_clicks_and_drags_while_a_reply_streams(desk: Desk) -> None:
    pieces = [f"- item {i}\n" if i % 4 else f"\n\nparagraph {i}\n\n" for i in range(8)]
    gates = [Gate() for _ in pieces]
    desk.say(*[step for pair in zip(gates, pieces, strict=True) for step in pair])
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Go")
        rng = random.Random(5)
        for gate in gates:
            gate.open()
            spot = (rng.randrange(80), rng.randrange(24))
            await pilot.mouse_down(offset=spot)
            await pilot.hover(offset=(rng.randrange(80), rng.randrange(24)))
            await pilot.mouse_up(offset=spot)
        await idle(pilot)
        await sees(pilot, "item 6")


async def test_notices_are_not_markup(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE, notifications=True) as pilot:
        screen(pilot).tell("There is no file [/x.png] \x1b[31mhere[/]")
        await sees(pilot, "There is no file [/x.png] here[/]")


async def drawn(text: str, *pieces: str) -> list[str]:
    async with Sheet(text).run_test(size=(60, 80)) as pilot:
        reply = pilot.app.query_one(ReplyText)
        for piece in pieces:
            reply.grow(piece)
        if pieces:
            reply.finish()
        await until(pilot, lambda: True)
        return shown(pilot).splitlines()


@pytest.mark.parametrize("seed", range(4))
async def test_a_stream_cut_anywhere_draws_what_the_whole_text_draws(seed: int) -> None:
    """Textual's Markdown corrupts fences, lists and tables that it was given in parts."""
    rng = random.Random(seed)
    pieces = []
    rest = MIXED
    while rest:
        size = rng.choice((1, 2, 3, 8, 40))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert await drawn("", *pieces) == await drawn(MIXED)


async def test_every_theme_can_be_chosen(desk: Desk) -> None:
    session = desk.chat("Hello", "```python\nx = 1\n```")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "x = 1")
        for name in ("phichat-paper", "phichat-contrast", "phichat-ansi"):
            pilot.app.theme = name
            await pilot.pause()
            assert "x = 1" in shown(pilot), name


class Teller(Widget):
    """Widget that tells of itself when others ask it to."""

    class Happened(Message):
        pass

    def tell(self) -> None:
        self.post_message(self.Happened())


class Parent(Container):
    """Container in whose code its child tells."""

    def on_key(self) -> None:
        self.query_one(Teller).tell()


async def test_what_a_widget_tells_in_its_parents_code_reaches_all_above() -> None:
    heard = []

    class Listener(App[None]):
        def compose(self) -> ComposeResult:
            with Parent():
                yield Teller()

        @on(Teller.Happened)
        def _hear(self, event: Teller.Happened) -> None:
            heard.append(event)

    apply()
    Teller.Happened.__module__ = "tui.tests"
    async with Listener().run_test() as pilot:
        pilot.app.query_one(Parent).post_message(events.Key("a", "a"))
        await pilot.pause()
    assert len(heard) == 1


def test_our_themes_have_the_same_variables() -> None:
    """The contrast and ANSI themes leave more to Textual, which derives it from their colours."""
    dark, paper, *others = THEMES
    assert set(paper.variables) == set(dark.variables)
    assert {theme.name for theme in others} == {"phichat-contrast", "phichat-ansi"}


async def test_the_palette_offers_what_the_keys_do(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        app = pilot.app
        assert isinstance(app, PhichatApp)
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        offered["Show or hide the list of chats"].callback()
        await until(pilot, lambda: screen(pilot).has_class("-list-open"), "the list")


def our_classes() -> list[type]:
    """Every class of ours that inherits from Textual."""
    found = []
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        for thing in vars(importlib.import_module(module.name)).values():
            ours = isinstance(thing, type) and thing.__module__ == module.name
            if ours and any(base.__module__.startswith("textual") for base in thing.__mro__):
                found.append(thing)
    return found


@cache
def names_in(base: type) -> frozenset[str]:
    """Return the attributes of a class of Textual, and those that its methods read or set."""
    return frozenset(vars(base)) | set(re.findall(r"self\.(_\w+)", inspect.getsource(base)))


@pytest.mark.parametrize("ours", our_classes(), ids=lambda c: c.__name__)
def test_no_private_name_of_textual_is_taken_by_chance(ours: type) -> None:
    """An attribute called ``_running`` or ``_attach`` breaks Textual without a word."""
    source = inspect.getsource(ours)
    mine = set(re.findall(r"def (_[a-z]\w*)\(|self\.(_[a-z]\w*)\b(?:: [^=]+)? = ", source))
    on_purpose = {
        "_compose",
        "_compositor_refresh",
        "_on_paste",
        "_on_screen_resume",
        "_process_messages_loop",
        "_repaint_required",
    }
    names = {name for pair in mine for name in pair if name} - on_purpose
    taken: set[str] = set()
    for base in ours.__mro__:
        if base.__module__.startswith("textual"):
            taken |= names_in(base)
    assert not names & taken


def test_a_line_makes_a_cache_when_it_uses_it_and_as_textual_does() -> None:
    apply()
    spec = importlib.util.find_spec("textual.strip")
    assert spec is not None
    assert spec.loader is not None
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    theirs, ours = original.Strip([]), Strip([])
    for name in Strip.__slots__:
        wanted = getattr(theirs, name)
        if not isinstance(wanted, FIFOCache):
            assert getattr(ours, name) == wanted, name
            continue
        with pytest.raises(AttributeError):  # the slot is empty
            vars(Strip)[name].__get__(ours)
        made = getattr(ours, name)
        assert made._maxsize == wanted._maxsize, name
        assert getattr(ours, name) is made
    with pytest.raises(AttributeError, match="_other"):
        ours._other  # type: ignore[attr-defined]  # noqa: B018


async def test_the_widgets_of_a_screen_are_styled_when_they_come_and_not_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    styled: list[object] = []
    update_styles = App.update_styles

    def update(self: App[None], node: DOMNode, animate: bool = True) -> None:
        if node.children:
            styled.append(node)
        update_styles(self, node, animate)

    monkeypatch.setattr(App, "update_styles", update)
    async with desk.app().run_test(size=WIDE) as pilot:
        await settled(pilot)
        await open_page(pilot, "f1")
        page = pilot.app.screen
        assert page.classes >= {"-wide", "-tall"}
        assert not {screen(pilot), page} & set(styled)
        await pilot.resize_terminal(*NARROW)
        assert page.classes >= {"-narrow", "-short"}
        assert {screen(pilot), page} <= set(styled)


def test_rules_of_style_sheets_are_hashed_by_identity() -> None:
    apply()
    assert RuleSet.__hash__ is object.__hash__
    assert len({RuleSet(), RuleSet()}) == 2


async def test_a_paste_breaks_no_line_that_fits_and_a_long_one_once_a_width(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[str] = []
    offsets = textual_fixes.compute_wrap_offsets

    def counting(text: str, *more: object) -> list[int]:
        broken.append(text)
        return offsets(text, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(textual_fixes, "compute_wrap_offsets", counting)
    long = " ".join(f"word{n}" for n in range(60))
    async with desk.app().run_test(size=NARROW) as pilot:
        pilot.app.post_message(events.Paste("\n".join(["a line that fits"] * 200 + [long])))
        await until(pilot, lambda: area(pilot).text.endswith("word59"), "the paste")
        await sees(pilot, "word59")
        assert set(broken) == {long}
        assert len(broken) <= 2, "without the scrollbar, and with it"


@given(st.text(st.sampled_from("ab é漢\t"), max_size=30), st.integers(4, 12))
def test_lines_break_where_textual_breaks_them(text: str, width: int) -> None:
    known = compute_wrap_offsets(text, width, 4)
    assert textual_fixes._wrap_offsets(text, width, 4) == known
