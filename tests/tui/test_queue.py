"""Messages that are sent while a reply runs: they wait, visibly, and can be taken back."""

from __future__ import annotations

import pytest

from assistant.values.errors import ModelError
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    composer,
    idle,
    picture_file,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.widgets.user_turn import UserTurn


def asked(desk: Desk) -> list[str]:
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    return [turn.text for turn in turns if turn.finish_reason is None]


async def test_queued_messages_are_shown_and_sent_in_order(desk: Desk) -> None:
    gate = Gate()
    desk.say("Writing", gate)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await composer(pilot).chips.put_first(picture_file("two.png"))
        await send(pilot, "Third")
        await sees(pilot, "queued 1  Second")
        await sees(pilot, "queued 2  Third · 1 picture")
        assert area(pilot).text == ""
        gate.open()
        await until(pilot, lambda: len(chat(pilot).query(UserTurn)) == 3, "all were sent")
        await idle(pilot)
        assert "queued" not in shown(pilot)
    assert asked(desk) == ["First", "Second", "Third"]
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    assert [len(turn.pictures) for turn in turns] == [0, 0, 0, 0, 1, 0]


@pytest.mark.slow
async def test_up_takes_the_last_one_back_with_its_pictures(desk: Desk) -> None:
    gate = Gate()
    desk.say("Writing", gate)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await composer(pilot).chips.put_first(picture_file("two.png"))
        await send(pilot, "Third")
        await sees(pilot, "queued 2  Third")
        await pilot.press("up")
        await until(pilot, lambda: area(pilot).text == "Third", "it came back")
        assert [file.name for file in composer(pilot).chips.files] == ["two.png"]
        assert "queued 2" not in shown(pilot)
        assert "queued 1  Second" in shown(pilot)
        gate.open()
        await idle(pilot)
    assert asked(desk) == ["First", "Second"]


@pytest.mark.slow
async def test_escape_stops_the_reply_and_keeps_the_queue_in_the_composer(desk: Desk) -> None:
    desk.say("Writing", Gate())
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await send(pilot, "Third")
        await sees(pilot, "queued 2")
        await pilot.press("escape")
        await idle(pilot)
        assert area(pilot).text == "Second\nThird"
        assert "queued" not in shown(pilot)
    assert asked(desk) == ["First"]


async def test_nothing_is_sent_on_top_of_a_failure(desk: Desk) -> None:
    gate = Gate()
    desk.say("Writing", gate, ModelError("The model ran out of memory."))
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await sees(pilot, "queued 1")
        gate.open()
        await sees(pilot, "out of memory")
        await idle(pilot)
        assert area(pilot).text == "Second"
        await sees(pilot, "The reply failed: what waited to be sent is in the message again.")
    assert asked(desk) == ["First"]


async def test_a_failure_elsewhere_names_its_chat(desk: Desk) -> None:
    other = desk.chat("Elsewhere", "Yes")
    gates = Gate(), Gate()
    for gate in gates:
        desk.say("Writing", gate, ModelError("The model ran out of memory."))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await sees(pilot, "queued 1")
        screen(pilot).open_session(other)
        await sees(pilot, "Yes")
        screen(pilot).sidebar.delete(desk.engine.store.sessions()[0].id)
        await sees(pilot, "A reply is being written in “First”; stop it with esc first.")
        gates[0].open()
        await sees(pilot, "“First”: The reply failed: what waited to be sent is in the message ag")
        await send(pilot, "Third")
        await sees(pilot, "Writing")
        await pilot.press("ctrl+n")
        await sees(pilot, "New chat")
        gates[1].open()
        await sees(pilot, "“Elsewhere”: The reply failed.")


async def test_what_waits_in_one_chat_is_sent_there_while_another_is_open(desk: Desk) -> None:
    other = desk.chat("Elsewhere", "Yes")
    gate = Gate()
    desk.say("Writing", gate)
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await sees(pilot, "queued 1")
        screen(pilot).open_session(other)
        await sees(pilot, "Elsewhere")
        assert "queued" not in shown(pilot)
        gate.open()
        await until(pilot, lambda: len(desk.core.prompts) == 2, "it was sent")
        await idle(pilot)
        assert "Second" not in shown(pilot)
    assert asked(desk) == ["First", "Second"]
    assert len(desk.engine.store.conversation(other).turns) == 2


async def test_what_waits_when_the_app_ends_is_a_draft(desk: Desk) -> None:
    desk.say("Writing", Gate())
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        await send(pilot, "Second")
        await sees(pilot, "queued 1")
        await pilot.press(*"third")
    session = desk.engine.store.sessions()[0].id
    draft = desk.engine.store.draft(session)
    assert draft is not None
    assert draft.text == "Second\n\nthird"
