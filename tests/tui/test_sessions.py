"""The list of chats: opened, renamed, deleted, resumed, switched while a reply is written."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from assistant.conversation import Conversation
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    composer,
    idle,
    notices,
    picture_file,
    screen,
    sees,
    send,
    shown,
    type_text,
    until,
)
from tui.screens.confirm import ConfirmScreen
from tui.widgets.session_list import SessionList, SessionOptions


async def test_newest_first_with_title_pictures_and_age(desk: Desk) -> None:
    desk.chat("Old one", "a", age=timedelta(days=1, hours=2))
    desk.chat("Middle", "a", files=(picture_file("a.png"),), age=timedelta(hours=3))
    desk.chat("New [/x]", "a", age=timedelta(minutes=5))
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Old one")
        left = [line[:31].strip() for line in shown(pilot).splitlines()]
        rows = [line for line in left if line]
        assert rows[1:7] == [
            "New [/x]",
            "4 min",
            "Middle",
            "1 picture · 2 h",
            "Old one",
            "yesterday",
        ]


async def test_without_a_session_it_starts_with_a_new_chat_beside_the_list(desk: Desk) -> None:
    desk.chat("Earlier", "a")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Earlier")
        assert "Talk about pictures." in shown(pilot)
        assert "New chat" in shown(pilot)


async def test_a_chat_chosen_in_the_list_opens(desk: Desk) -> None:
    desk.chat("First chat", "first answer", age=timedelta(hours=2))
    desk.chat("Second chat", "second answer", age=timedelta(hours=1))
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "First chat")
        await pilot.press("ctrl+b", "ctrl+b")  # hide, show: the list has the focus
        assert screen(pilot).focused is screen(pilot).query_one(SessionOptions)
        await pilot.press("end", "enter")
        await sees(pilot, "first answer")
        assert screen(pilot).focused is area(pilot)
        await send(pilot, "go on")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert len(desk.engine.conversation(desk.engine.sessions()[0].id).turns) == 4


async def test_a_session_given_at_the_start_is_resumed(desk: Desk) -> None:
    session = desk.chat("Question", "Answer", files=(picture_file("a.png"),))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "Answer")
        await send(pilot, "Follow-up")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert len(desk.core.prompts[0].slots) == 1  # the picture of the first turn is seen again


async def test_an_unknown_session_is_a_sentence_and_the_app_goes_on(desk: Desk) -> None:
    async with desk.app("nope").run_test(size=NARROW) as pilot:
        await until(pilot, lambda: notices(pilot), "a sentence")
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_a_new_chat_appears_in_the_list_with_its_title(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "No chats yet.")
        await send(pilot, "What a question")
        await sees(pilot, "Yes.")
        await idle(pilot)
        listed = screen(pilot).query_one(SessionList)
        await until(pilot, lambda: "▌ What a question" in shown(pilot), "the row")
        assert listed.title_of(desk.engine.sessions()[0].id) == "What a question"


async def test_new_chat_and_back_keeps_each_draft(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Earlier")
        await composer(pilot).chips.add(picture_file("a.png"))
        await type_text(pilot, "half a question")
        await pilot.press("ctrl+n")
        await sees(pilot, "Talk about pictures.")
        assert area(pilot).text == ""
        assert composer(pilot).chips.files == ()
        await type_text(pilot, "another")
        screen(pilot).open_session(session)
        await until(pilot, lambda: area(pilot).text == "half a question", "the draft")
        assert [file.name for file in composer(pilot).chips.files] == ["a.png"]
        await pilot.press("ctrl+n")
        await until(pilot, lambda: area(pilot).text == "another", "the other draft")


async def test_rename_by_key(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Earlier")
        await pilot.press("f2")
        await sees(pilot, "Title of this chat")
        await pilot.press("ctrl+u", *"Bird", "enter")
        await sees(pilot, "▌ Bird")
    assert desk.engine.conversation(session).title == "Bird"


async def test_delete_asks_and_the_harmless_answer_is_first(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Earlier")
        await send(pilot, "/delete")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "the question")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        assert desk.engine.sessions() != []
        screen(pilot).query_one(SessionOptions).focus()
        await pilot.press("delete")
        await sees(pilot, "Delete “Earlier” with its pictures?")
        await pilot.press("y")
        await sees(pilot, "No chats yet.")
        await sees(pilot, "Talk about pictures.")
    assert desk.engine.sessions() == []


async def test_the_list_lies_over_a_narrow_chat_and_beside_a_wide_one(desk: Desk) -> None:
    desk.chat("Earlier", "a")
    async with desk.app().run_test(size=NARROW) as pilot:
        listed = screen(pilot).query_one(SessionList)
        await sees(pilot, "Talk about pictures.")
        assert not listed.display
        await pilot.press("ctrl+b")
        await sees(pilot, "Earlier")
        await pilot.press("escape")
        assert not listed.display
        assert screen(pilot).focused is area(pilot)
        await pilot.resize_terminal(*WIDE)
        await until(pilot, lambda: listed.display, "the list")
        await pilot.press("ctrl+b")
        assert not listed.display


async def test_a_reply_goes_on_while_another_chat_is_looked_at(desk: Desk) -> None:
    other = desk.chat("Other chat", "other answer")
    gates = [Gate(), Gate()]
    desk.say("Begun, ", gates[0], "gone on, ", gates[1], "done.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Long answer please")
        await sees(pilot, "Begun,")
        running = screen(pilot).session_id
        assert running is not None
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        gates[0].open()
        await until(pilot, lambda: gates[1].reached.is_set(), "the second gate")
        assert "Begun" not in shown(pilot)
        screen(pilot).open_session(running)
        await sees(pilot, "Begun, gone on,")
        gates[1].open()
        await sees(pilot, "Begun, gone on, done.")
        await idle(pilot)
        assert shown(pilot).count("Begun") == 1


async def test_a_chat_whose_reply_is_being_written_is_not_deleted(desk: Desk) -> None:
    gate = Gate()
    desk.say("Begun", gate)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Begun")
        await send(pilot, "/delete")
        await until(pilot, lambda: notices(pilot), "a word about it")
        assert "stop it" in notices(pilot)[0]
        gate.open()
        await idle(pilot)


async def test_quitting_keeps_the_half_reply(desk: Desk) -> None:
    desk.say("Half", Gate(), "whole")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Half")
        await pilot.press("ctrl+q")
    session = desk.engine.sessions()[0].id
    for _ in range(500):  # the thread may still be storing it: asyncio.run would wait for it here
        if desk.engine.conversation(session).turns[1].finish_reason:
            break
        await asyncio.sleep(0.01)
    assert desk.engine.conversation(session).turns[1].text == "Half"


async def test_going_back_before_the_first_word_shows_no_mark(desk: Desk) -> None:
    other = desk.chat("Other chat", "other answer")
    gate = Gate()
    desk.say(gate, "At last.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Slow one")
        await until(pilot, lambda: gate.reached.is_set(), "the gate")
        await until(pilot, lambda: screen(pilot).session_id, "the session")
        running = screen(pilot).session_id
        assert running is not None
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        screen(pilot).open_session(running)
        await sees(pilot, "Slow one")
        assert "no reply yet" not in shown(pilot)
        gate.open()
        await sees(pilot, "At last.")
        await idle(pilot)


async def test_a_chat_that_was_read_before_its_reply_was_complete_is_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = desk.chat("Other chat", "other answer")
    gate, read, shown_late = Gate(), threading.Event(), threading.Event()
    desk.say("Begun", gate, " and done.")
    really_read = desk.engine.conversation

    def slow(session_id: str) -> Conversation:
        conversation = really_read(session_id)
        read.set()
        shown_late.wait()
        return conversation

    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Begun")
        running = screen(pilot).session_id
        assert running is not None
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        monkeypatch.setattr(desk.engine, "conversation", slow)
        screen(pilot).open_session(running)
        await until(pilot, read.is_set, "it is read")
        gate.open()
        await idle(pilot)
        shown_late.set()
        await sees(pilot, "Begun and done.")
        assert "interrupted" not in shown(pilot)
