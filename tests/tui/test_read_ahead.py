"""A picture is looked at while its question is typed, and only as long as the draft has it."""

from __future__ import annotations

import threading

import pytest
from textual.pilot import Pilot

from assistant.values.conversation import Draft
from assistant.values.events import Phase
from tests.tui.desk import (
    WIDE,
    Desk,
    Gate,
    composer,
    idle,
    opened,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    type_text,
    until,
)
from tui.widgets.chip import Chip


@pytest.fixture
def gate(desk: Desk) -> threading.Event:
    """The model looks at what is attached until the test opens this."""
    desk.core.ahead_gate = threading.Event()
    return desk.core.ahead_gate


async def attach(pilot: Pilot[None], desk: Desk, name: str) -> None:
    await composer(pilot).attach([str(desk.file(name, png(name.split(".")[0], (64, 48))))])


def pictures_read(desk: Desk) -> list[int]:
    return [len(prompt.slots) for prompt, _ in desk.core.read]


async def test_a_chip_is_looked_at_at_once_and_says_so(desk: Desk, gate: threading.Event) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await attach(pilot, desk, "red.png")
        await until(pilot, lambda: pictures_read(desk) == [1], "the picture is read")
        await type_text(pilot, "What is it")
        assert "seen" not in shown(pilot)
        gate.set()
        await sees(pilot, "seen")
        assert "the model has looked at it" in str(composer(pilot).query_one(Chip).tooltip)
        await type_text(pilot, "?")
        await attach(pilot, desk, "blue.png")
        await until(pilot, lambda: pictures_read(desk) == [1, 2], "both are read")
        await until(pilot, lambda: shown(pilot).count("seen") == 2, "both are seen")
        assert pictures_read(desk) == [1, 2], "words change nothing"


async def test_a_chip_that_is_taken_off_is_not_looked_at_any_more(
    desk: Desk, gate: threading.Event
) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await attach(pilot, desk, "red.png")
        await until(pilot, lambda: pictures_read(desk) == [1], "the picture is read")
        await composer(pilot).chips.remove_last()
        await until(pilot, desk.core.reading_stopped.is_set, "the end of reading")
        await attach(pilot, desk, "blue.png")
        await until(pilot, lambda: pictures_read(desk) == [1, 1], "the other one is read")
        first, second = (prompt.slots[0] for prompt, _ in desk.core.read)
        assert first != second


async def test_another_chat_stops_it_and_a_stored_draft_begins_it(
    desk: Desk, gate: threading.Event
) -> None:
    empty = desk.chat("Good morning.", "Good morning.")
    drafted = desk.chat("Hello", "Hello.")
    desk.store.save_draft(drafted, Draft("", (picture_file("teal.png"),)))
    async with desk.app(drafted).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: pictures_read(desk) == [1], "the draft's picture is read")
        screen(pilot).open_session(empty)
        await opened(pilot, empty)
        await until(pilot, desk.core.reading_stopped.is_set, "the end of reading")
        await type_text(pilot, "How are you?")
        await until(pilot, lambda: pictures_read(desk) == [1, 0], "the chat itself is read")


@pytest.mark.slow
async def test_nothing_is_read_during_a_reply_nor_while_a_model_loads(desk: Desk) -> None:
    desk.core.phase = Phase.LOADING
    async with desk.app().run_test(size=WIDE) as pilot:
        await attach(pilot, desk, "red.png")
        await sees(pilot, "red.png")
        screen(pilot).status_bar._look()
        await pilot.pause()
        assert desk.core.read == []
        desk.core.phase = Phase.READY
        await until(pilot, lambda: pictures_read(desk) == [1], "the picture is read")
        answering = Gate()
        desk.say("It is ", answering, "red.")
        await send(pilot, "What is it?")
        await until(pilot, answering.reached.is_set, "the reply")
        await attach(pilot, desk, "blue.png")
        await sees(pilot, "blue.png")
        screen(pilot).status_bar._look()
        await pilot.pause()
        assert pictures_read(desk) == [1]
        answering.open()
        await idle(pilot)
        await until(pilot, lambda: pictures_read(desk) == [1, 2], "after the reply")
