"""Keys, timers and messages come from different tasks: what they do at the worst moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from textual.events import Key

from assistant.conversation import Draft
from tests.tui.desk import (
    WIDE,
    Desk,
    Gate,
    chat,
    idle,
    notices,
    opened,
    pane,
    screen,
    sees,
    send,
    until,
)
from tui.running import RunningTurn
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chat_view import ChatView
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_window import Place

LINES = [f"line {n}\n\nmore of {n}" for n in range(60)]


async def test_a_look_in_the_middle_of_switching_takes_no_chat_for_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.chat("one", "first", age=timedelta(hours=2))
    second = desk.chat("two", "second")
    show = ChatPane.show
    looked = 0

    async def slow(self: ChatPane, *args: object) -> None:
        nonlocal looked
        following = screen(pilot)._following
        following._seen = "something was stored"
        following.look()  # as the timer does, in its own task
        await asyncio.sleep(0.1)
        looked += 1
        await show(self, *args)  # type: ignore[arg-type]

    async with desk.app(first).run_test(size=WIDE) as pilot:
        await opened(pilot, first)
        monkeypatch.setattr(ChatPane, "show", slow)
        for wanted in (second, first, second):
            screen(pilot).open_session(wanted)
            await opened(pilot, wanted)
        assert looked == 3
        assert notices(pilot) == []


async def test_a_new_chat_wins_over_one_that_is_being_opened(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat(*LINES)
    arrived, go_on = asyncio.Event(), asyncio.Event()
    show = ChatView.show

    async def slow(self: ChatView, turns: object, **how: bool) -> None:
        await show(self, turns, **how)  # type: ignore[arg-type]
        if turns:
            arrived.set()
            await go_on.wait()

    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "line 0")
        monkeypatch.setattr(ChatView, "show", slow)
        screen(pilot).open_session(session)
        await arrived.wait()
        began = asyncio.create_task(screen(pilot).action_new_session())
        await asyncio.sleep(0)
        go_on.set()
        await began
        assert screen(pilot).session_id is None
        assert list(pane(pilot).turns) == []
        await sees(pilot, "Talk about pictures.")


async def test_a_reply_that_ends_while_its_chat_is_opened_is_shown_as_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = desk.chat("Other chat", "other answer")
    gate = Gate()
    desk.say("Begun", gate, " and done.")
    show = ChatPane.show

    async def slow(self: ChatPane, turns: object, running: RunningTurn | None) -> None:
        if running is not None:
            gate.open()
            while not desk.engine.conversation(mine).turns[-1].finish_reason:
                await asyncio.sleep(0.04)
            await asyncio.sleep(0.3)  # the timer that empties the feed comes now
        await show(self, turns, running)  # type: ignore[arg-type]

    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Begun")
        mine = screen(pilot).session_id
        assert mine is not None
        screen(pilot).open_session(other)
        await opened(pilot, other)
        monkeypatch.setattr(ChatPane, "show", slow)
        screen(pilot).open_session(mine)
        await sees(pilot, "Begun and done.")
        await idle(pilot)
        assert not [one for one in chat(pilot).query(ReplyTurn) if one.live]


async def test_a_chat_that_was_left_at_its_end_opens_there_whenever_a_look_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk.chat(*LINES, age=timedelta(hours=2))
    two = desk.chat(*[line.replace("more", "much") for line in LINES])
    mount = ChatView._mount_below

    async def slow(self: ChatView, count: int) -> None:
        await mount(self, count)
        for _ in range(20):  # before, while and after the new turns are laid out
            screen(pilot)._following.look()
            await asyncio.sleep(0.01)

    async with desk.app(one).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        monkeypatch.setattr(ChatView, "_mount_below", slow)
        for wanted, words in ((two, "much of 59"), (one, "more of 59"), (two, "much of 59")):
            screen(pilot).open_session(wanted)
            await opened(pilot, wanted)
            screen(pilot)._following.look()
            assert screen(pilot).places.of(wanted) is None
            await sees(pilot, words)
            assert chat(pilot).mounted_turns == range(40, 60)


async def test_a_place_is_where_one_went_before_the_window_has_scrolled(desk: Desk) -> None:
    session = desk.chat(*LINES)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        turn = desk.engine.conversation(session).turns[20].id
        await pane(pilot).show_turn(turn, 1)
        assert chat(pilot).place == Place(turn, 1)
        await sees(pilot, "more of 20")
        assert chat(pilot).place == Place(turn, 1)


async def test_what_was_typed_right_before_quitting_is_in_the_draft(desk: Desk) -> None:
    session = desk.chat("one", "first")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        keeper = screen(pilot)._drafts_kept
        await until(pilot, lambda: session in keeper._read, "the draft was read")
        for letter in "typed fast":
            pilot.app.post_message(Key("space" if letter == " " else letter, letter))
        pilot.app.post_message(Key("ctrl+q", None))
        await until(pilot, lambda: pilot.app._exit, "it ends")
    assert desk.engine.draft(session) == Draft("typed fast")
