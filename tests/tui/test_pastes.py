"""Pastes and drops: pictures are for the message, whatever has the focus; fields keep text."""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

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
    send,
    shown,
    threads_ended,
    until,
)
from tui.pages.attach import AttachScreen
from tui.pages.write import WriteScreen
from tui.widgets.session_list import SessionList


def paste(pilot: Pilot[None], text: str) -> None:
    """Paste as a terminal does: the app gets it, whatever has the focus."""
    pilot.app.post_message(events.Paste(text))


async def attached(pilot: Pilot[None], name: str) -> None:
    def names() -> list[str]:
        return [file.name for file in composer(pilot).chips.files]

    await until(pilot, lambda: names() == [name], f"the chip {name}")


async def test_in_the_chat_wherever_the_focus_is(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Hello")
        for place in ("a turn", "the list", "nothing"):
            if place == "a turn":
                await select_turn(pilot)
            else:
                chats = screen(pilot).query_one(SessionList)
                screen(pilot).set_focus(chats if place == "the list" else None)
            paste(pilot, str(desk.file("a one.png")))
            await attached(pilot, "a one.png")
            assert not area(pilot).text, place
            paste(pilot, "words, [b]just words")
            await until(pilot, lambda: area(pilot).text == "words, [b]just words", "the words")
            assert screen(pilot).focused is area(pilot), place
            await composer(pilot).empty_at_once()


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


async def test_the_field_of_a_page_keeps_text(desk: Desk) -> None:
    other = desk.folder / "notes.txt"
    other.write_text("no picture")
    async with desk.app().run_test(size=WIDE) as pilot:
        for key in ("ctrl+f", "ctrl+p", "f6"):
            await open_page(pilot, key)
            field = pilot.app.screen.query_one(Input)
            paste(pilot, "words")
            await until(pilot, lambda one=field: one.value == "words", f"the words, {key}")
            field.value = ""
            paste(pilot, str(other))
            await until(pilot, lambda one=field: one.value == str(other), f"no picture, {key}")
            paste(pilot, str(desk.file("a.png")))
            await attached(pilot, "a.png")
            assert field.value == str(other)
            assert not area(pilot).text
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
            await composer(pilot).empty_at_once()


async def test_a_field_of_several_lines_keeps_text_once(desk: Desk) -> None:
    """A paste rose from the field to the app, which gave it to the field, for ever."""
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/system")
        await until(pilot, lambda: isinstance(pilot.app.screen, WriteScreen), "the dialog")
        field = pilot.app.screen.query_one(TextArea)
        paste(pilot, "Be short\nand kind.")
        await until(pilot, lambda: field.text, "the words")
        paste(pilot, str(desk.file("a.png")))
        await attached(pilot, "a.png")
        assert field.text == "Be short\nand kind."


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


def damaged(desk: Desk, name: str = "broken.png") -> str:
    return str(desk.file(name, b"\x89PNG\r\n\x1a\n and no more"))


async def test_a_picture_that_can_t_be_opened_leaves_a_paste_as_it_was(desk: Desk) -> None:
    broken = damaged(desk)
    async with desk.app().run_test(size=WIDE) as pilot:
        for text in (
            f"Look at {broken} and say what it is",
            f"{broken}\nWhat is this?",
            f"What is this: '{broken}'  ",
            broken,
            f"In {broken} and again in {broken}, what?",
        ):
            await pilot.press(*"ab", "left")
            paste(pilot, text)
            whole = f"a{text}b"
            await until(pilot, lambda whole=whole: area(pilot).text == whole, f"{text} as it was")
            await until(pilot, lambda: notices(pilot), "why")
            await threads_ended(pilot)
            assert area(pilot).text == whole
            assert not composer(pilot).chips.files
            area(pilot).set_text("")


async def test_only_what_can_t_be_opened_stays_a_path(desk: Desk) -> None:
    good, broken = str(desk.file("good.png")), damaged(desk)
    async with desk.app().run_test(size=WIDE) as pilot:
        paste(pilot, f"Is {good} like {broken} or not?")
        await attached(pilot, "good.png")
        await until(pilot, lambda: notices(pilot), "why")
        text = f"Is good.png like {broken} or not?"
        await until(pilot, lambda: area(pilot).text == text, "the path")
        area(pilot).set_text("")
        paste(pilot, f"'{good}' '{broken}'")
        await until(pilot, lambda: area(pilot).text == broken, "the path alone")
        await until(pilot, lambda: len(composer(pilot).chips.files) == 2, "both pictures")


@pytest.mark.parametrize("text", ["/attach {broken}", "{broken}"])
async def test_what_was_typed_stays_where_nothing_is_attached(desk: Desk, text: str) -> None:
    text = text.format(broken=damaged(desk))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, text)
        await until(pilot, lambda: notices(pilot), "why")
        await until(pilot, lambda: area(pilot).text == text, "the text as it was")


async def test_attach_and_send_of_what_can_t_be_opened_sends_nothing(desk: Desk) -> None:
    broken = damaged(desk)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"What is {broken} about")
        await sees(pilot, "The message names broken.png")
        await pilot.press("enter")
        await until(pilot, lambda: notices(pilot), "why")
        await until(pilot, lambda: area(pilot).text == f"What is {broken} about", "the text")
        assert not screen(pilot).chat.turns


async def test_a_picture_that_is_named_often_is_attached_once(desk: Desk) -> None:
    good = str(desk.file("good.png"))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"Again {good} " * 120)
        await sees(pilot, "The message names good.png")
        await pilot.press("escape")
        await until(pilot, lambda: area(pilot).text, "the text")
        area(pilot).set_text("")
        paste(pilot, f"{good}\n" * 40)
        await attached(pilot, "good.png")
        await until(pilot, lambda: not composer(pilot).chips.opening, "no other")
        assert len(composer(pilot).chips.files) == 1
