"""Sample pictures of the empty chat: enter attaches one and writes its question."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from assistant.samples import SAMPLES, Sample
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    Desk,
    area,
    composer,
    draft_read,
    idle,
    pane,
    sees,
    send,
    until,
)


@pytest.fixture
def demo_desk(make_desk: MakeDesk) -> Desk:
    return make_desk(is_demo=True)


async def offered(pilot: Pilot[None], sample: Sample) -> None:
    """Wait until the composer holds a sample and its question, and nothing else."""

    def is_there() -> bool:
        draft = composer(pilot).draft
        return [file.name for file in draft.pictures] == [sample.path.name] and (
            draft.text == sample.question
        )

    await until(pilot, is_there, sample.title)


async def test_enter_twice_in_an_empty_chat_asks_about_a_picture(desk: Desk) -> None:
    desk.say("A yellow star.")
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        await sees(pilot, "try a picture of ours")
        await pilot.press("enter")
        await offered(pilot, SAMPLES[0])
        await pilot.press("enter")
        await sees(pilot, "A yellow star.")
        await idle(pilot)
        assert pane(pilot).turns[0].text == SAMPLES[0].question
        await pilot.press("enter")  # the chat is not empty any more
        await pilot.pause()
        assert not composer(pilot).draft.text
        assert not composer(pilot).draft.pictures


async def test_every_new_chat_offers_the_next(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        for sample in (*SAMPLES, SAMPLES[0]):
            await pilot.press("enter")
            await offered(pilot, sample)
            await composer(pilot).clear()


async def test_the_demo_model_gets_what_it_knows(demo_desk: Desk) -> None:
    async with demo_desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        await until(pilot, lambda: pane(pilot).is_demo, "the model's kind")
        for _ in range(2):
            await pilot.press("enter")
            await offered(pilot, SAMPLES[0])
            await composer(pilot).clear()


async def test_the_command_works_in_any_chat_and_keeps_what_is_typed(desk: Desk) -> None:
    session = desk.chat("Hi", "Hello.")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await draft_read(pilot, session)
        await send(pilot, "/sample")
        await offered(pilot, SAMPLES[0])
        assert area(pilot).cursor_at_end_of_text
