"""Attached pictures looked at before they are sent: thumbnails, and large on F3 or a click."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    opened,
    picture_file,
    png,
    screen,
    sees,
    select_turn,
    send,
    shown,
    until,
)
from tui.pages.picture import PictureScreen
from tui.widgets.chip import Chip
from tui.widgets.picture_drawing import PictureDrawing

SIZES = pytest.mark.parametrize("size", [NARROW, (200, 50)], ids=["narrow", "wide"])


def thumbnails(pilot: Pilot[None]) -> list[PictureDrawing]:
    return [one for one in composer(pilot).query(PictureDrawing) if one.region]


async def numbered(pilot: Pilot[None]) -> None:
    chips = list(composer(pilot).query(Chip))
    await until(pilot, lambda: all(chip.number for chip in chips), "their numbers")


@pytest.mark.slow
async def test_f3_shows_what_is_attached_before_what_was_sent(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(picture_file("old.png"),))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Picture 1 · old.png")
        await composer(pilot).chips.put_first(picture_file("a.png"), picture_file("b.png"))
        await numbered(pilot)
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "the page")
        await sees(pilot, "Picture 3 · b.png")
        assert "attached, not sent yet" in shown(pilot)
        await pilot.press("right")
        await sees(pilot, "Picture 1 · old.png")
        await pilot.press("escape")
        await send(pilot, "/picture 2")
        await sees(pilot, "Picture 2 · a.png")


async def test_a_click_and_the_focus_choose_which(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"), picture_file("b.png"))
        await numbered(pilot)
        first = composer(pilot).query(Chip).first()
        await pilot.click(first, offset=(3, 0))
        await sees(pilot, "Picture 1 · a.png")
        await pilot.press("escape")
        screen(pilot).set_focus(first)
        await pilot.press("f3")
        await sees(pilot, "Picture 1 · a.png")


@pytest.mark.slow
async def test_crops_chosen_on_the_page_are_those_of_the_chip(desk: Desk) -> None:
    data = png(size=(1600, 1200))
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png", data))
        await numbered(pilot)
        await pilot.press("f3")
        await sees(pilot, "c crops")
        await pilot.press("c")
        await sees(pilot, "at most 16 crops")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: composer(pilot).chips.files[0].num_crops == 4, "its crops")
        await sees(pilot, "2×2 crops and the whole")


async def test_thumbnails_where_all_fit_into_a_row_of_a_tall_window(desk: Desk) -> None:
    async with desk.app().run_test(size=(200, 50)) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"), picture_file("b.png"))
        await until(pilot, lambda: len(thumbnails(pilot)) == 2, "two thumbnails")
        await until(pilot, lambda: all(one.drawn for one in thumbnails(pilot)), "they are drawn")
        await composer(pilot).chips.put_first(*(picture_file(f"{n}.png") for n in range(3)))
        await until(pilot, lambda: not thumbnails(pilot), "five do not fit")
        for _ in range(3):
            await composer(pilot).chips.remove_last()
        await until(pilot, lambda: len(thumbnails(pilot)) == 2, "two do")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not thumbnails(pilot), "no space in a short window")
        assert area(pilot).region.height


async def test_esc_on_a_picture_goes_back_to_the_text(desk: Desk) -> None:
    """It left the edit of an old message, and lost what was written."""
    session = desk.chat("See", "Yes.", files=(picture_file("old.png"),))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        await select_turn(pilot, "up", "e")
        await until(pilot, lambda: composer(pilot).query(Chip), "its picture")
        await until(pilot, lambda: area(pilot).text == "See", "its text")
        await pilot.press("shift+tab")
        await until(pilot, lambda: isinstance(screen(pilot).focused, Chip), "the picture")
        await sees(pilot, "esc back ─╯")
        await pilot.press("escape")
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        assert composer(pilot).edited
        assert area(pilot).text == "See"


async def test_the_last_of_many_pictures_is_in_sight(desk: Desk) -> None:
    paths = [str(desk.file(f"{n}.png", png(size=(20 + n, 20)))) for n in range(7)]
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).attach(paths)
        await until(pilot, lambda: len(composer(pilot).chips.files) == 7, "all of them")
        await sees(pilot, "6.png")


async def test_a_picture_that_is_there_already(desk: Desk) -> None:
    data = png(size=(300, 200), shape="ellipse")
    session = desk.chat("See", "Yes.", files=(picture_file("old.png", data),))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        await composer(pilot).attach((str(desk.file("again.png", data)),))
        await sees(pilot, "This is picture 1 of this chat already; #1 stands for it.")
        await composer(pilot).attach((str(desk.file("third.png", data)),))
        await sees(pilot, "The same picture is attached twice: the first is again.png.")


@SIZES
def test_attached_pictures_look(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[None]) -> None:
        files = [
            picture_file("circle.png", png("firebrick", (640, 480), "ellipse")),
            picture_file("tall.png", png("teal", (300, 600), "rectangle")),
        ]
        await composer(pilot).chips.put_first(*files)
        await numbered(pilot)
        await until(pilot, lambda: all(one.drawn for one in thumbnails(pilot)), "they are drawn")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)
