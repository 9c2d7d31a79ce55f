"""The list of chats: opened, renamed, deleted, resumed, switched while a reply is written."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from assistant.values.conversation import Conversation, Draft, SessionSummary
from tests import wait
from tests.tui.desk import (
    NARROW,
    NOON,
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    composer,
    idle,
    notices,
    open_page,
    opened,
    picture_file,
    screen,
    sees,
    select_turn,
    send,
    shown,
    type_text,
    until,
)
from tui import requests
from tui.chat import sidebar
from tui.chat.positions import Places
from tui.chat.sidebar import Sidebar
from tui.widgets.session_list import ROW_LINES, SessionList
from tui.widgets.turn_window import Place

GONE = "“First” was deleted. F7 brings it back."


def rows(pilot: Pilot[None]) -> str:
    """The list of chats as a person reads it, without what begins a new one."""
    lines = [line[:31].rstrip() for line in shown(pilot).splitlines()]
    return "\n".join(line for line in lines if "New chat" not in line)


async def test_in_a_browser_a_new_chat_has_a_way_that_the_browser_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "+ New chat  /new")
        await send(pilot, "/new")
        await sees(pilot, "Talk about pictures.")


async def test_newest_first_with_title_pictures_and_age(desk: Desk) -> None:
    desk.chat("Old one", "a", age=timedelta(days=1, hours=2))
    desk.chat("Middle", "a", files=(picture_file("a.png"),), age=timedelta(hours=3))
    desk.chat("New [/x]", "a", age=timedelta(minutes=5))
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Old one")
        left = [line.strip() for line in rows(pilot).splitlines()]
        listed = [line for line in left if line]
        assert listed[1:7] == [
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
        assert screen(pilot).focused is screen(pilot).query_one(SessionList)
        await pilot.press("end", "enter")
        await sees(pilot, "first answer")
        assert screen(pilot).focused is area(pilot)
        await send(pilot, "go on")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert len(desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns) == 4


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
        assert listed.title_of(desk.engine.store.sessions()[0].id) == "What a question"


async def test_new_chat_and_back_keeps_each_draft(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await composer(pilot).chips.put_first(picture_file("a.png"))
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
        await opened(pilot, session)
        await pilot.press("f2")
        await sees(pilot, "Title of this chat")
        await pilot.press("ctrl+u", *"Bird", "enter")
        await sees(pilot, "▌ Bird")
    assert desk.engine.store.conversation(session).title == "Bird"


async def test_deleted_chats_come_back_one_after_the_other(desk: Desk) -> None:
    desk.chat("Third", "a", age=timedelta(hours=3))
    second = desk.chat("Second", "a", age=timedelta(hours=2))
    first = desk.chat("First", "first answer", age=timedelta(hours=1))
    async with desk.app(first).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ First")
        await type_text(pilot, "half a question")
        screen(pilot).query_one(SessionList).focus()
        await pilot.press("delete")
        await until(pilot, lambda: notices(pilot)[-1:] == [GONE], "a word")
        await sees(pilot, "Talk about pictures.")
        await until(pilot, lambda: "First" not in rows(pilot), "it is off the list")
        assert screen(pilot).focused is screen(pilot).query_one(SessionList)
        await pilot.press("delete")  # the neighbour is highlighted
        await until(pilot, lambda: "“Second”" in "".join(notices(pilot)), "a word")
        assert [item.title for item in desk.engine.store.sessions()] == ["Third"]
        assert desk.core.forgotten == [first, second], "the model keeps nothing of them"
        await pilot.press("f7")
        await until(pilot, lambda: "Second" in rows(pilot), "the second is back")
        assert "First" not in rows(pilot)
        await pilot.press("f7")
        await sees(pilot, "▌ First")
        await sees(pilot, "first answer")
        await until(pilot, lambda: area(pilot).text == "half a question", "its draft is back")
        await pilot.press("f7")
        await until(pilot, lambda: "no chat to bring back" in "".join(notices(pilot)), "a word")
    assert [item.id for item in desk.engine.store.sessions()][:2] == [first, second]


async def test_what_the_app_asks_of_a_chat_that_is_gone_meanwhile_is_no_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("First", "first answer")
    late: list[tuple[Widget, requests.Job]] = []

    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ First")
        await type_text(pilot, "half a question")
        draft = screen(pilot).conversation.draft
        keeper = draft.keeper
        await until(pilot, lambda: desk.store.draft(session) is not None, "it is saved")
        with monkeypatch.context() as held:
            held.setattr(requests, "in_thread", lambda *one: late.append(one))
            draft.measure()
            keeper.look()
            keeper.typed = Draft("half a question, and more")
            keeper.save(session)
            keeper._read.clear()
            keeper.read()
            screen(pilot).conversation.turns.look_up_versions(1)
            await until(pilot, lambda: len(late) >= 5, "all of them")
        desk.engine.delete(session)
        for widget, job in late:
            requests.in_thread(widget, job)
        await pilot.app.workers.wait_for_complete()
        await sees(pilot, "Talk about pictures.")
        assert notices(pilot) == ["The chat that was open was deleted in another terminal."]


async def test_the_draft_of_a_deleted_chat_comes_back_with_it(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Earlier")
        await type_text(pilot, "half a question")
        screen(pilot).sidebar.action_delete_session()
        await sees(pilot, "No chats yet.")
        assert area(pilot).text == ""
        await pilot.press("f7")
        await until(pilot, lambda: area(pilot).text == "half a question", "the draft")
        assert not [words for words in notices(pilot) if "session" in words]


async def test_pinned_chats_stay_on_top(desk: Desk) -> None:
    old = desk.chat("Old", "a", age=timedelta(days=2))
    desk.chat("New", "a", age=timedelta(hours=1))
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Old")
        screen(pilot).query_one(SessionList).focus()
        await pilot.press("end", "p")
        await sees(pilot, "★ Old")
        listed = rows(pilot)
        assert listed.index("★ Old") < listed.index("New")
        await pilot.press("p")
        await until(pilot, lambda: "★" not in rows(pilot), "it is pinned no longer")
        screen(pilot).open_session(old)
        await sees(pilot, "▌ Old")
        await send(pilot, "/pinchat")
        await sees(pilot, "▌ ★ Old")
    assert desk.engine.store.sessions()[0].id == old


@pytest.mark.slow
async def test_rename_in_the_list_renames_the_highlighted_chat(desk: Desk) -> None:
    desk.chat("Other", "a", age=timedelta(hours=2))
    opened = desk.chat("Opened", "a", age=timedelta(hours=1))
    async with desk.app(opened).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Opened")
        screen(pilot).query_one(SessionList).focus()
        await pilot.press("end", "f2")
        await sees(pilot, "Title of this chat")
        await pilot.press("ctrl+u", *"Bird", "enter")
        await until(pilot, lambda: "Bird" in rows(pilot), "the new title")
    assert [item.title for item in desk.engine.store.sessions()] == ["Opened", "Bird"]


@pytest.mark.slow
async def test_a_fork_begins_as_the_other_chat_and_leaves_it_alone(desk: Desk) -> None:
    session = desk.chat("one", "first", "two", "second")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "second")
        await send(pilot, "/fork")
        await until(pilot, lambda: screen(pilot).chat.session_id not in (None, session), "the fork")
        fork = screen(pilot).chat.session_id
        assert fork is not None
        await opened(pilot, fork)
        await send(pilot, "three")
        await idle(pilot)
        assert len(desk.engine.store.conversation(fork).turns) == 6
        assert len(desk.engine.store.conversation(session).turns) == 4
        screen(pilot).open_session(session)
        await opened(pilot, session)
        await select_turn(pilot, "up", "up")  # the reply "first"
        await sees(pilot, "f fork")
        await pilot.press("f")
        await until(pilot, lambda: screen(pilot).chat.session_id not in (session, fork), "the fork")
        half = screen(pilot).chat.session_id
        assert half is not None
        await opened(pilot, half)
        assert [turn.text for turn in desk.engine.store.conversation(half).turns] == [
            "one",
            "first",
        ]
        screen(pilot).query_one(SessionList).focus()
        await pilot.press("f")
        await until(
            pilot, lambda: len(desk.engine.store.sessions()) == 4, "one more, from the list"
        )


async def test_each_chat_is_left_and_found_again_at_its_place(desk: Desk) -> None:
    lines = [f"line {n}\n\nmore of {n}" for n in range(60)]
    long = desk.chat(*lines, age=timedelta(hours=2))
    other = desk.chat("Other chat", "other answer", age=timedelta(hours=1))
    async with desk.app(long).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        await chat(pilot).show_turn(desk.engine.store.conversation(long).turns[20].id, 1)
        await until(pilot, lambda: "more of 20" in shown(pilot), "the place")
        place = chat(pilot).place
        assert place is not None
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        screen(pilot).open_session(long)
        await until(pilot, lambda: chat(pilot).place == place, "the same place")
        assert "more of 59" not in shown(pilot)
        await pilot.press("ctrl+end")
        await sees(pilot, "more of 59")
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        screen(pilot).open_session(long)
        await sees(pilot, "more of 59")


@pytest.mark.slow
async def test_a_chat_opens_where_it_was_left_before_the_restart(desk: Desk) -> None:
    session = desk.chat(*[f"line {n}\n\nmore of {n}" for n in range(60)])
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        await chat(pilot).show_turn(desk.engine.store.conversation(session).turns[20].id, 1)
        await until(pilot, lambda: "more of 20" in shown(pilot), "the place")
        place = chat(pilot).place
        assert place is not None
        await until(pilot, lambda: screen(pilot).places.of(session) == place, "it is noted")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: chat(pilot).place == place, "the same place")
        await pilot.press("ctrl+end")
        await until(pilot, lambda: screen(pilot).places.of(session) is None, "the end")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")


@pytest.mark.parametrize("text", ["", "[1]", '{"x": {"turn_id": 1}}'])
def test_a_spoilt_file_of_places_is_no_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "places.json"
    file.write_text(text)
    places = Places(file)
    places.load()
    assert places.of("x") is None
    places.leave("y", Place("t", 3))
    places.save()
    again = Places(file)
    again.load()
    assert again.of("y") == Place("t", 3)


@pytest.mark.slow
async def test_a_list_that_takes_long_to_read_is_read_seldom_for_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.chat("Mine", "a")
    looks: list[str] = []
    changes = desk.engine.store.changes
    monkeypatch.setattr(desk.engine.store, "changes", lambda: looks.append(changes()) or looks[-1])
    begun: list[int] = []
    ended: list[int] = []
    sessions = desk.engine.store.sessions

    def read(limit: int) -> Any:
        begun.append(limit)
        found = sessions(limit)
        ended.append(limit)
        return found

    monkeypatch.setattr(desk.engine.store, "sessions", read)
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Mine")
        # Not the time of a reading: one that is under way would write its own over it.
        monkeypatch.setattr(sidebar, "LIST_SHARE", 1e-12)
        seen = len(looks)
        await until(pilot, lambda: len(looks) > seen + 1 and begun == ended, "no reading")
        desk.chat("Of the other terminal", "a")
        await until(pilot, lambda: looks.count(changes()) > 1, "two looks at the change")
        assert "Of the other terminal" not in shown(pilot)
        monkeypatch.setattr(sidebar, "LIST_SHARE", 1e12)
        await sees(pilot, "Of the other terminal")


@pytest.mark.slow
async def test_the_list_follows_another_terminal(desk: Desk) -> None:
    session = desk.chat("Mine", "a", age=timedelta(hours=2))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Mine")
        desk.chat("Of the other terminal", "a")
        await until(pilot, lambda: "Of the other termin" in rows(pilot), "the new chat")
        desk.engine.store.rename(session, "Renamed elsewhere")
        await sees(pilot, "▌ Renamed elsewhere")
        desk.engine.store.delete(session)
        await until(pilot, lambda: "in another terminal" in " ".join(notices(pilot)), "a word")
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "it is left")
        await until(pilot, lambda: "Renamed" not in rows(pilot), "it is off the list")
        desk.chat("One more", "a")
        await until(pilot, lambda: "One more" in rows(pilot), "also without an open chat")


async def test_unsent_words_stay_where_another_terminal_deletes_the_chat(desk: Desk) -> None:
    session = desk.chat("Mine", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Mine")
        area(pilot).insert("half written")
        desk.engine.store.delete(session)
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "it is left")
        await until(pilot, lambda: area(pilot).text == "half written", "the words")


@pytest.mark.slow
async def test_ten_thousand_chats_are_gone_through_by_key(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(
        SessionSummary(f"s{n}", f"Chat {n}", NOON, NOON, turns=2, pictures=n % 3)
        for n in range(10_000)
    )
    monkeypatch.setattr(
        desk.engine.store, "sessions", lambda limit=200, offset=0: list(many[:limit])
    )
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Chat 0")
        options = screen(pilot).query_one(SessionList)
        drawn: list[str] = []
        draw = options._row
        monkeypatch.setattr(options, "_row", lambda one: drawn.append(one.id) or draw(one))
        options.focus()
        await pilot.press("end")
        await sees(pilot, "Chat 9999")
        await pilot.press("pageup", "up", "home", "pagedown", "down")
        page = options.size.height // ROW_LINES
        await sees(pilot, f"Chat {page + 1}")
        assert len(set(drawn)) < 100  # only what is in sight is ever drawn


@pytest.mark.slow
async def test_the_list_lies_over_a_narrow_chat_and_beside_a_wide_one(desk: Desk) -> None:
    desk.chat("Earlier", "a")
    async with desk.app().run_test(size=NARROW) as pilot:
        listed = screen(pilot).query_one(Sidebar)
        await sees(pilot, "Talk about pictures.")
        assert not listed.display
        await pilot.press("ctrl+b")
        await sees(pilot, "Earlier")
        await pilot.press("escape")
        assert not listed.display
        assert screen(pilot).focused is area(pilot)
        await pilot.press("ctrl+b")
        await open_page(pilot, "f6", *"earlier", "enter")
        await until(pilot, lambda: not listed.display, "it makes way for the chat")
        assert screen(pilot).focused is area(pilot)
        await pilot.press("ctrl+b", "ctrl+n")
        await until(pilot, lambda: not listed.display, "and for a new one")
        await pilot.resize_terminal(*WIDE)
        await until(pilot, lambda: listed.display, "the list")
        await pilot.press("ctrl+b")
        assert not listed.display


@pytest.mark.slow
async def test_a_reply_goes_on_while_another_chat_is_looked_at(desk: Desk) -> None:
    other = desk.chat("Other chat", "other answer")
    gates = [Gate(), Gate()]
    desk.say("Begun, ", gates[0], "gone on, ", gates[1], "done.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Long answer please")
        await sees(pilot, "Begun,")
        running = screen(pilot).chat.session_id
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


@pytest.mark.slow
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
    session = desk.engine.store.sessions()[0].id
    reply = lambda: desk.engine.store.conversation(session).turns[1]  # noqa: E731
    await wait.until(lambda: reply().finish_reason, "the thread stores it after the app's end")
    assert reply().text == "Half"


@pytest.mark.slow
async def test_going_back_before_the_first_word_shows_no_mark(desk: Desk) -> None:
    other = desk.chat("Other chat", "other answer")
    gate = Gate()
    desk.say(gate, "At last.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Slow one")
        await until(pilot, lambda: gate.reached.is_set(), "the gate")
        await until(pilot, lambda: screen(pilot).chat.session_id, "the session")
        running = screen(pilot).chat.session_id
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
    really_read = desk.engine.store.conversation

    def slow(session_id: str) -> Conversation:
        conversation = really_read(session_id)
        read.set()
        shown_late.wait()
        return conversation

    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Begun")
        running = screen(pilot).chat.session_id
        assert running is not None
        screen(pilot).open_session(other)
        await sees(pilot, "other answer")
        monkeypatch.setattr(desk.engine.store, "conversation", slow)
        screen(pilot).open_session(running)
        await until(pilot, read.is_set, "it is read")
        gate.open()
        await idle(pilot)
        shown_late.set()
        await sees(pilot, "Begun and done.")
        assert "interrupted" not in shown(pilot)


def test_how_the_list_looks(desk: Desk, snap_compare: Any) -> None:
    desk.chat("Which bird is this?", "A robin.", title="Pinned", age=timedelta(days=3))
    desk.engine.store.set_pinned(desk.engine.store.sessions()[0].id, True)
    desk.chat("A rather long question about birds", "a", age=timedelta(hours=3))
    session = desk.chat("Two", "a", files=(picture_file("a.png"), picture_file("b.png")))
    desk.engine.store.fork(desk.engine.store.sessions()[2].id)

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "▌ Two")
        screen(pilot).query_one(SessionList).focus()
        await pilot.press("end")

    assert snap_compare(desk.app(session), terminal_size=WIDE, run_before=scene)


async def test_a_chat_that_is_back_is_no_longer_offered(desk: Desk) -> None:
    desk.chat("First", "a", age=timedelta(hours=2))
    session = desk.chat("Second", "b")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await send(pilot, "/delete")
        await sees(pilot, "“Second” was deleted. F7 brings it back.")
        await pilot.press("f7")
        await sees(pilot, "“Second” is back.")
        await opened(pilot, session)
        await until(pilot, lambda: "F7" not in shown(pilot), "the offer's end")


async def test_the_list_has_no_bar_below_it(desk: Desk) -> None:
    for number in range(30):
        desk.chat(f"Chat {number}", "a", age=timedelta(hours=number + 1))
    async with desk.app().run_test(size=WIDE) as pilot:
        listed = screen(pilot).query_one(SessionList)
        await until(pilot, lambda: listed.show_vertical_scrollbar, "more than there is room for")
        assert not listed.show_horizontal_scrollbar
        assert listed.scrollable_content_region.height == listed.size.height


async def test_a_title_of_several_lines_is_pasted_whole(desk: Desk) -> None:
    session = desk.chat("Old", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await open_page(pilot, "f2")
        field = pilot.app.screen.query_one(Input)
        field.value = ""
        pilot.app.post_message(events.Paste("Holidays\r\nin Rome\n"))
        await until(pilot, lambda: field.value == "Holidays in Rome", "both lines")
        await pilot.press("enter")
        await sees(pilot, "Holidays in Rome")
        await send(pilot, "/rename Holidays\nin Oslo")
        await sees(pilot, "Holidays in Oslo")
