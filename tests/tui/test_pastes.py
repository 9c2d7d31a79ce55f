"""Pastes and drops: pictures are for the message, whatever has the focus; fields keep text."""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tiers import few_quick
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    notices,
    open_page,
    screen,
    sees,
    select_turn,
    shown,
    until,
)
from tui.pages.attach import AttachScreen
from tui.widgets.session_list import SessionList


def paste(pilot: Pilot[None], text: str) -> None:
    """Paste as a terminal does: the app gets it, whatever has the focus."""
    pilot.app.post_message(events.Paste(text))


async def attached(pilot: Pilot[None], name: str) -> None:
    def names() -> list[str]:
        return [file.name for file in composer(pilot).chips.files]

    await until(pilot, lambda: names() == [name], f"the chip {name}")


@pytest.mark.parametrize("place", ["a turn", "the list", "nothing"])
async def test_in_the_chat_wherever_the_focus_is(desk: Desk, place: str) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Hello")
        if place == "a turn":
            await select_turn(pilot)
        else:
            screen(pilot).set_focus(
                screen(pilot).query_one(SessionList) if place == "the list" else None
            )
        paste(pilot, str(desk.file("a one.png")))
        await attached(pilot, "a one.png")
        assert not area(pilot).text
        paste(pilot, "words, [b]just words")
        await until(pilot, lambda: area(pilot).text == "words, [b]just words", "the words")
        assert screen(pilot).focused is area(pilot)


@pytest.mark.parametrize("key", few_quick(["f4", "f8", "f1", "f5", "f9", "f12"], 2))
async def test_on_pages_without_a_field(desk: Desk, key: str) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await open_page(pilot, key)
        page = pilot.app.screen
        paste(pilot, f"'{desk.file('a.png')}'")
        await attached(pilot, "a.png")
        await sees(pilot, "1 picture is attached to the message.")
        assert pilot.app.screen is page
        paste(pilot, "words")
        await until(pilot, lambda: area(pilot).text == "words", "the words")


@pytest.mark.parametrize("key", ["ctrl+f", "ctrl+p", "f6"])
async def test_the_field_of_a_page_keeps_text(desk: Desk, key: str) -> None:
    other = desk.folder / "notes.txt"
    other.write_text("no picture")
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, key)
        field = pilot.app.screen.query_one(Input)
        paste(pilot, "words")
        await until(pilot, lambda: field.value == "words", "the words")
        field.value = ""
        paste(pilot, str(other))
        await until(pilot, lambda: field.value == str(other), "a path that is no picture")
        paste(pilot, str(desk.file("a.png")))
        await attached(pilot, "a.png")
        assert field.value == str(other)
        assert not area(pilot).text


@pytest.mark.slow
async def test_a_picture_dropped_on_the_dialog_for_pictures_is_its_answer(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+o")
        assert isinstance(pilot.app.screen, AttachScreen)
        paste(pilot, str(desk.file("a.png")))
        await attached(pilot, "a.png")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")


@pytest.mark.slow
async def test_an_empty_paste_is_the_picture_in_the_clipboard(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "f9")
        paste(pilot, "")
        await until(pilot, lambda: len(notices(pilot)) == 2, "that there is none")
        assert "The picture in the clipboard is for the message." in notices(pilot)
        assert "clipboard" in shown(pilot)
