"""Thinking before a reply: a folded line that counts, the words on demand."""

from __future__ import annotations

from assistant.values.events import ThoughtGrew
from tests.tui.desk import (
    WIDE,
    Desk,
    Gate,
    idle,
    opened,
    pane,
    screen,
    sees,
    select_turn,
    send,
    shown,
    until,
)
from tui.widgets.reply_turn import ReplyTurn


async def test_it_counts_is_folded_and_shown_by_a_key(desk: Desk) -> None:
    thinking, writing = Gate(), Gate()
    thought = ThoughtGrew("Three angles, [bold]I guess[/bold]. \x1b[2J")
    desk.say(thought, thinking, "A tri", writing, "angle.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        await sees(pilot, "▸ thinking")  # for how long: a busy machine shows no first second
        assert "angles" not in shown(pilot)
        thinking.open()
        await sees(pilot, "▸ thought for")
        writing.open()
        await idle(pilot)
        await sees(pilot, "A triangle.")
        assert "angles" not in shown(pilot)
        await select_turn(pilot, "t")
        await sees(pilot, "Three angles, [bold]I guess[/bold].")
        assert "\x1b" not in shown(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "angles" not in shown(pilot), "it is folded")
        await pilot.click(".thought")
        await sees(pilot, "Three angles")
    session = desk.store.sessions()[0].id
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await sees(pilot, "▸ thought for")
        assert "angles" not in shown(pilot)
        await select_turn(pilot, "t")
        await sees(pilot, "Three angles")


async def test_a_chat_that_is_left_and_taken_up_again_still_counts(desk: Desk) -> None:
    other = desk.chat("Another?", "Yes.")
    gate = Gate()
    desk.say(ThoughtGrew("Three "), gate, ThoughtGrew("angles."), "A triangle.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        await sees(pilot, "▸ thinking")
        session = screen(pilot).chat.session_id
        assert session is not None
        screen(pilot).open_session(other)
        await opened(pilot, other)
        assert "thinking 0" not in shown(pilot)
        screen(pilot).open_session(session)
        await sees(pilot, "▸ thinking")
        gate.open()
        await idle(pilot)
        await sees(pilot, "▸ thought for")
        reply = pane(pilot).query(ReplyTurn).last()
        assert reply.turn.thought is not None
        assert reply.turn.thought.text == "Three angles."


async def test_a_reply_without_a_thought_has_no_such_line(desk: Desk) -> None:
    desk.say("A triangle.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        await idle(pilot)
        assert "▸" not in "".join(line for line in shown(pilot).splitlines() if "thought" in line)
        await select_turn(pilot, "t")
        await sees(pilot, "This can't be done with the selected turn.")
