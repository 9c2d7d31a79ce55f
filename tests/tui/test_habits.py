"""Habits of other programs: ctrl+c, and vi's letters in lists and on pages."""

from __future__ import annotations

import pytest

from tests.tui.desk import WIDE, Desk, area, notices, open_page, opened, screen, sees, shown, until
from tui import app as app_module
from tui.pages.search import SearchScreen
from tui.widgets.long_text import LongText
from tui.widgets.session_list import SessionList


async def test_ctrl_c_twice_quits_and_says_so_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TWICE_S", 3600.0)
    app = desk.app()
    async with app.run_test(size=WIDE) as pilot:
        await sees(pilot, "Talk about pictures.")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: notices(pilot), "a word")
        assert "ctrl+c again quits" in notices(pilot)[-1]
        assert not app._exit
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit, "the end")


async def test_ctrl_c_copies_what_is_selected(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Talk about pictures.")
        area(pilot).insert("some words")
        area(pilot).select_all()
        await pilot.press("ctrl+c", "ctrl+c", "ctrl+c")
        await until(pilot, lambda: pilot.app.clipboard == "some words", "the copy")
        assert not any("quits" in one for one in notices(pilot))
        assert not pilot.app._exit


async def test_letters_of_vi_move_in_the_list_of_chats(desk: Desk) -> None:
    for number in range(5):
        session = desk.chat(f"Chat {number}", "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        chats = screen(pilot).query_one(SessionList)
        chats.focus()
        await pilot.press("G")
        assert chats.highlighted == 4
        await pilot.press("k")
        assert chats.highlighted == 3
        await pilot.press("g", "j")
        assert chats.highlighted == 1
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(pilot.app.screen, SearchScreen), "the search")


@pytest.mark.parametrize("key", ["f8", "f9"])
async def test_letters_of_vi_move_in_lists_on_pages(desk: Desk, key: str) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, key)
        rows = pilot.app.screen.query_one("OptionList")
        await until(pilot, lambda: rows.option_count > 2 and rows.highlighted is not None, "rows")
        await pilot.press("g")
        first = rows.highlighted
        await pilot.press("j")
        assert rows.highlighted == first + 1
        await pilot.press("G", "k")
        assert rows.highlighted == rows.option_count - 2


async def test_letters_of_vi_scroll_the_prompt(desk: Desk) -> None:
    session = desk.chat("word " * 2000, "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await open_page(pilot, "f4")
        text = pilot.app.screen.query_one(LongText)
        await until(pilot, lambda: text.max_scroll_y > 10, "the prompt")
        await pilot.press("j")
        assert text.scroll_y == 1
        await pilot.press("G")
        await sees(pilot, "the reply begins here")
        await pilot.press("g")
        await until(pilot, lambda: text.scroll_y == 0, "the beginning")


async def test_letters_are_text_where_there_is_a_field(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+f", *"jkgG")
        await sees(pilot, "jkgG")
        assert isinstance(pilot.app.screen, SearchScreen)
        assert "jkgG" in shown(pilot)
