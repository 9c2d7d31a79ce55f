"""Emptying the message: escape twice, up brings it back; and what a new chat begins with."""

from __future__ import annotations

import pytest

from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    picture_file,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.pages.context import ContextScreen
from tui.pages.write import WriteScreen


async def test_escape_twice_empties_and_up_brings_it_back(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        area(pilot).insert("a long\nmessage")
        await composer(pilot).chips.put_first(picture_file("a.png"))
        await pilot.pause()
        await pilot.press("escape")
        await sees(pilot, "esc again empties it · up brings it back")
        assert area(pilot).text == "a long\nmessage"
        await pilot.press("escape")
        await until(pilot, lambda: not area(pilot).text, "it is empty")
        assert not composer(pilot).chips.files
        await sees(pilot, "enter sends")
        await pilot.press("up")
        await until(pilot, lambda: area(pilot).text == "a long\nmessage", "it is back")
        assert [file.name for file in composer(pilot).chips.files] == ["a.png"]
        await pilot.press("up", "up")  # from now on the prompts, as ever
        assert area(pilot).text == "Hello"


async def test_a_letter_between_keeps_the_message(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("a", "escape", "b")
        await until(pilot, lambda: "esc again" not in shown(pilot), "the hint is gone")
        await pilot.press("escape")
        assert area(pilot).text == "ab"
        await pilot.press("escape", "escape")  # empty already: nothing happens
        assert not area(pilot).text


async def test_escape_from_elsewhere_only_comes_back(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        area(pilot).insert("kept")
        for _ in range(2):
            screen(pilot).set_focus(None)
            await pilot.press("escape")
        assert area(pilot).text == "kept"
        assert screen(pilot).focused is area(pilot)


async def test_a_system_message_before_the_first_message(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/system Answer in French.")
        await until(pilot, lambda: notices(pilot), "a word")
        assert notices(pilot)[0].startswith("The model is told that first in this chat")
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(pilot.app.screen, ContextScreen), "the prompt")
        await sees(pilot, "Answer in French.")
        await pilot.press("escape")
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)
        (first,) = desk.engine.store.sessions()
        assert desk.engine.store.conversation(first.id).system == "Answer in French."
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "a new chat")
        await send(pilot, "Hello again")
        await idle(pilot)
    newest = next(one for one in desk.engine.store.sessions() if one.id != first.id)
    assert desk.engine.store.conversation(newest.id).system is None


@pytest.mark.slow
async def test_a_system_message_in_the_dialog_before_the_first_message(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/system")
        await until(pilot, lambda: isinstance(pilot.app.screen, WriteScreen), "the dialog")
        await pilot.press(*"Be brief.", "ctrl+s")
        await until(pilot, lambda: notices(pilot), "a word")
        await send(pilot, "Hello")
        await idle(pilot)
    (only,) = desk.engine.store.sessions()
    assert desk.engine.store.conversation(only.id).system == "Be brief."


async def test_a_system_message_survives_a_first_message_that_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assistant.values.errors import StorageError

    really_add = desk.engine.store.add_user_turn
    fails = [True]

    def add(*one: object, **more: object) -> object:
        if fails.pop() if fails else False:
            raise StorageError("The disk is full: nothing was stored.")
        return really_add(*one, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.engine.store, "add_user_turn", add)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/system Be brief.")
        await until(pilot, lambda: screen(pilot).chat.system, "it is kept")
        await send(pilot, "Hello")
        await until(pilot, lambda: area(pilot).text == "Hello", "it is back")
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
    (only,) = desk.engine.store.sessions()
    assert desk.engine.store.conversation(only.id).system == "Be brief."
