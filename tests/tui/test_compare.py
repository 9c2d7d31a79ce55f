"""Another model's answer beside the last one: /compare, and the page of both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.settings.schema import Settings
from assistant.values.conversation import Timings, Usage
from assistant.values.errors import ModelError
from assistant.values.model import Core, ModelFacts
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    StagedCore,
    area,
    idle,
    notices,
    sees,
    send,
    shown,
    until,
)
from tui.pages.compare import _facts


class OtherCore(StagedCore):
    """A core of another name."""

    def facts(self) -> ModelFacts:
        return replace(super().facts(), name="other")


@pytest.fixture
def other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> OtherCore:
    """The core that is made for the model "other"; there is no third."""
    core = OtherCore(desk.core._folder)

    def make(settings: Settings) -> Core:
        if settings.model != "other":
            raise ModelError(f"There is no model {settings.model}.")
        return core

    monkeypatch.setattr(desk.engine.model, "_make_core", make)
    return core


async def test_a_chat_goes_to_a_server_until_that_has_answered(desk: Desk) -> None:
    session, gate = desk.chat("What is it?", "A star."), Gate()
    server = OtherCore(desk.core._folder)
    server.scripts.append(["It is a yellow star.", gate])
    desk.engine.model._make_core = lambda settings: server
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await send(pilot, "/compare http://127.0.0.1:8000")
        await sees(pilot, "This chat goes to 127.0.0.1:8000.")
        gate.open()
        await sees(pilot, "1 or 2 goes on with it")
        await pilot.press("2")
        await sees(pilot, "‹2/2›")
        assert "goes to" not in shown(pilot)


async def test_a_model_that_is_not_there_leaves_the_answer_as_it_was(
    desk: Desk, other: OtherCore
) -> None:
    session = desk.chat("What is it?", "A star.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await send(pilot, "/compare nosuch")
        await sees(pilot, "There is no model nosuch.")
        await idle(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "There is no" not in shown(pilot), "no word of it")
        assert "✗" not in shown(pilot)
        assert area(pilot).text == "/compare nosuch"


async def test_two_answers_beside_each_other(desk: Desk, other: OtherCore) -> None:
    session = desk.chat("What is it?", "A star.")
    other.scripts.append(["It is a yellow star."])
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await send(pilot, "/compare other")
        await sees(pilot, "1 or 2 goes on with it")
        row = next(line for line in shown(pilot).splitlines() if "A star." in line)
        assert "It is a yellow star." in row, "in one row"
        assert "other" in shown(pilot)
        await pilot.press("1")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).turns[-1].text == "A star.",
            "the chat goes on with the first",
        )
        await idle(pilot)
        await send(pilot, "/compare")
        await sees(pilot, "1 or 2 goes on with it")
        row = next(line for line in shown(pilot).splitlines() if "yellow" in line)
        assert row.index("A star.") < row.index("yellow"), "in the order of versions"
    reply = desk.engine.store.conversation(session).turns[-1]
    models = [one.model for one in desk.engine.store.siblings(reply.id)]
    assert models[1] == "other"
    assert other.closed
    assert desk.engine.model.core is desk.core
    assert other.prompts[0].parts


async def test_after_the_choice_what_is_typed_is_the_next_message(
    desk: Desk, other: OtherCore
) -> None:
    session = desk.chat("What is it?", "A star.")
    other.scripts.append(["It is a yellow star."])
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await send(pilot, "/compare other")
        await sees(pilot, "1 or 2 goes on with it")
        await pilot.press("1")
        await sees(pilot, "‹1/2›")
        await send(pilot, "really?")  # r, on a selected reply, answers again
        await idle(pilot)
    turns = desk.engine.store.conversation(session).turns
    assert [one.text for one in turns[:3]] == ["What is it?", "A star.", "really?"]


def test_the_rate_of_a_few_tokens_is_not_shown(desk: Desk) -> None:
    reply = desk.store.conversation(desk.chat("What is it?", "A star.")).turns[1]
    timings = Timings(decode_tokens_per_s=8.1)
    short, long = (
        replace(reply, usage=Usage(completion_tokens=n), timings=timings) for n in (3, 40)
    )
    assert "tokens/s" in _facts(long)
    assert _facts(short) == "3 tokens · 1 or 2 goes on with it · esc back"


@pytest.mark.slow
async def test_in_a_narrow_window_they_stand_below_each_other(desk: Desk, other: OtherCore) -> None:
    session = desk.chat("What is it?", "A star.")
    other.scripts.append(["It is a yellow star."])
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "A star.")
        await send(pilot, "/compare")
        await until(pilot, lambda: any("one version" in one for one in notices(pilot)), "why")
        await send(pilot, "/compare third")
        await until(pilot, lambda: any("no model third" in one for one in notices(pilot)), "why")
        await until(pilot, lambda: area(pilot).text == "/compare third", "it can be mended")
        area(pilot).set_text("")
        await send(pilot, "/compare other")
        await sees(pilot, "1 or 2 goes on with it")
        lines = shown(pilot).splitlines()
        first = next(at for at, line in enumerate(lines) if "A star." in line)
        second = next(at for at, line in enumerate(lines) if "yellow star." in line)
        assert first < second
        await pilot.press("escape")
        await idle(pilot)
        await send(pilot, "/compare")
        await sees(pilot, "1 or 2 goes on with it")
        await pilot.press("2")
        await idle(pilot)
    assert desk.engine.store.conversation(session).turns[-1].text == "It is a yellow star."
