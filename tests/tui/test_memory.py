"""The summary of what no longer fits, and the system prompt."""

from __future__ import annotations

import pytest

from assistant.values.conversation import Draft
from assistant.values.events import Progressed, Stage
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    idle,
    notices,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.pages.write import WriteScreen


def summed_up(desk: Desk) -> None:
    """Have summaries made."""
    wanted = {"summaries": True, "max_new_tokens": 200}
    desk.engine.model.settings = desk.engine.model.settings.changed(**wanted)


def long_chat(desk: Desk) -> str:
    """A chat of which the model sees only the end."""
    session, turn = desk.store.add_user_turn(None, Draft("old " * 60), model="scripted")
    desk.reply(session, turn, "older answer")
    for _ in range(4):
        _, turn = desk.store.add_user_turn(session, Draft("new " * 60), model="scripted")
        desk.reply(session, turn, "newer answer")
    return session


async def test_a_summary_is_made_when_idle_and_shown_and_can_be_changed(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(context=1300)
    summed_up(desk)
    session = long_chat(desk)
    desk.say("Yes.")
    desk.say("They talked about old things.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "newer answer")
        await send(pilot, "And now? " * 20)
        await idle(pilot)
        await until(pilot, lambda: desk.engine.store.conversation(session).summary, "a summary")
        await send(pilot, "/summary")
        await until(pilot, lambda: isinstance(pilot.app.screen, WriteScreen), "the page")
        await pilot.press(*"Edited. ", "ctrl+s")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).summary.text.startswith("Edited."),  # type: ignore[union-attr]
            "it is changed",
        )
        heads = lambda: [str(head.render()) for head in screen(pilot).query("TurnHead")]  # noqa: E731
        await until(
            pilot,
            lambda: any("told" in head and "Edited. They talked" in head for head in heads()),
            "it is shown",
        )


@pytest.mark.slow
async def test_a_message_does_not_wait_for_a_summary(make_desk: MakeDesk) -> None:
    desk = make_desk(context=1300)
    summed_up(desk)
    session = long_chat(desk)
    gate = Gate()
    desk.say("Yes.")
    desk.say(Progressed(Stage.PREFILL, 1, 2), "A summary that", gate)
    desk.say("At once.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "newer answer")
        await send(pilot, "And now? " * 20)
        await until(pilot, gate.reached.is_set, "the summary is being written")
        await send(pilot, "Quick?")
        await sees(pilot, "At once.")
        await idle(pilot)
    summary = desk.engine.store.conversation(session).summary  # one of a later idle moment, perhaps
    assert summary is None or "A summary that" not in summary.text


async def test_no_summary_is_made_without_being_asked_for(make_desk: MakeDesk) -> None:
    desk = make_desk(context=1300)
    session = long_chat(desk)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "newer answer")
        await send(pilot, "And now? " * 20)
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert len(desk.core.prompts) == 1


@pytest.mark.slow
async def test_the_system_prompt_and_the_export(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        await send(pilot, "/system Speak like a pirate.")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).system == "Speak like a pirate.",
            "it is stored",
        )
        await send(pilot, "/system")
        await sees(pilot, "Speak like a pirate.")
        await pilot.press("escape")
        await send(pilot, f"/export {desk.folder}/talk.html")
        await until(pilot, lambda: any("Written" in one for one in notices(pilot)), "a word")
        monkeypatch.chdir(desk.folder)
        for name in (f"q1-{session}.html", f"q1-{session}-2.html"):
            await send(pilot, "/export")
            await until(pilot, (desk.folder / name).exists, name)
        for name, why in (("odt", "ends with .html"), ("html", "give another name")):
            area(pilot).clear()
            await send(pilot, f"/export {desk.folder}/talk.{name}")
            await until(pilot, lambda why=why: any(why in one for one in notices(pilot)), why)
        assert "q1" in shown(pilot)
    assert (desk.folder / "talk.html").read_text(encoding="utf-8").count("a1")


async def test_replies_of_a_chat_end_before_a_text(desk: Desk) -> None:
    session = desk.chat("One", "two")
    desk.say("Enough.\nEND and more")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "two")
        await send(pilot, "/stopat \\nEND")
        parameters = lambda: desk.engine.store.conversation(session).parameters  # noqa: E731
        await until(pilot, lambda: parameters().get("stop") == ("\nEND",), "it is stored")
        await send(pilot, "Go on")
        await sees(pilot, "Enough.")
        await idle(pilot)
        assert desk.engine.store.conversation(session).turns[-1].text == "Enough."
        await send(pilot, "/stopat")
        await until(pilot, lambda: parameters().get("stop") is None, "no longer")


async def test_where_nothing_was_left_out_there_is_nothing_to_sum_up(desk: Desk) -> None:
    session = desk.chat("Hello", "Hi.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Hello")
        await send(pilot, "/summary")
        words = "The model still sees all of this chat: nothing to sum up."
        await until(pilot, lambda: words in notices(pilot), "a sentence")
        assert pilot.app.screen is screen(pilot)  # no user writes a text that is refused afterwards
