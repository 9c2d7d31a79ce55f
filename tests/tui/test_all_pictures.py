"""All pictures on one page: filtered, gone to, attached; a word where one was shown before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from textual.widgets import Input, OptionList

from tests.tui.desk import (
    WIDE,
    Desk,
    composer,
    notices,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.pages.pictures import PicturesScreen, shown_words
from tui.widgets.drawing import Drawing

CAT = picture_file("cat.png", png("#c0392b", (400, 300), "ellipse"))
BILL = picture_file("bill.png", png("navy", (300, 400), "rectangle"))


@pytest.mark.slow
async def test_the_page_filters_shows_and_goes_to_the_turn(desk: Desk) -> None:
    desk.chat("What animal?", "A Persian.", files=(CAT,), title="Animals")
    session = desk.chat("How much?", "Ten.", files=(BILL,), title="Bills")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Ten.")
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(pilot.app.screen, PicturesScreen), "the page")
        await sees(pilot, "2 pictures, the newest first.")
        await sees(pilot, "bill.png 300×400")
        assert "Animals · picture 1" in shown(pilot)
        await until(pilot, lambda: pilot.app.screen.query(Drawing), "the picture")
        await pilot.press(*"persian")
        await sees(pilot, "1 picture, the newest first.")
        assert "bill.png" not in shown(pilot)
        await pilot.press("enter")
        await sees(pilot, "A Persian.")
        assert pilot.app.screen is screen(pilot)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
async def test_the_words_keep_half_of_the_page(desk: Desk, width: int) -> None:
    desk.chat("What animal?", "A Persian.", files=(CAT,), title="Animals")
    async with desk.app().run_test(size=(width, 36)) as pilot:
        await pilot.press("f10")
        await until(pilot, lambda: pilot.app.screen.query(Drawing), "the picture")

        def is_beside() -> bool:
            page = pilot.app.screen
            drawing, words = page.query_one(Drawing).region, page.query_one(OptionList).region
            fits = drawing.width > 0 and page.query_one(".cells").region.contains_region(drawing)
            return fits and words.width >= page.query_one(Input).region.width // 2

        await until(pilot, is_beside, "both in sight")


async def test_a_key_attaches_it_in_the_open_chat(desk: Desk) -> None:
    desk.chat("What animal?", "A Persian.", files=(CAT,), title="Animals")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/pictures cat")
        await sees(pilot, "1 picture, the newest first.")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: composer(pilot).chips.files, "the picture")
        file = composer(pilot).chips.files[0]
        assert (file.name, file.data) == ("cat.png", CAT.data)
        await until(pilot, lambda: notices(pilot), "a word")
        assert notices(pilot)[0].startswith("You showed this on 14 March")
        assert notices(pilot)[0].endswith(" in “Animals”.")


async def test_a_picture_of_this_chat_is_named_by_its_number(desk: Desk) -> None:
    path = desk.folder / "again.png"
    path.write_bytes(CAT.data)
    session = desk.chat("What animal?", "A Persian.", files=(CAT,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A Persian.")
        await send(pilot, f"/attach '{path}'")
        await sees(pilot, "This is picture 1 of this chat already; #1 stands for it.")


def test_a_picture_of_this_day_was_shown_today(desk: Desk) -> None:
    """It said the day's date, an hour later."""
    desk.chat("What animal?", "A Persian.", files=(CAT,), title="Animals")
    found = desk.store.shown_before(CAT)
    assert found is not None
    now = found.created + timedelta(seconds=1)
    assert shown_words(found, same=True, now=now) == "You showed this today in “Animals”."
    words = shown_words(found, same=True, now=now + timedelta(days=3))
    assert words == "You showed this on 14 March in “Animals”."
