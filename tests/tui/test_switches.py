"""Keys, timers and messages come from different tasks: what they do at the worst moment."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from textual.events import Key
from textual.widgets import Input, OptionList

from assistant.values.conversation import Draft, PictureFile
from storage.store import Store
from tests import wait
from tests.tui.desk import (
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    composer,
    draft_read,
    idle,
    notices,
    opened,
    pane,
    picture_file,
    screen,
    sees,
    send,
    shown,
    type_text,
    until,
)
from tests.tui.quiet import loop_drained, settle
from tui.pages.rename import RenameScreen
from tui.pages.search import SearchScreen
from tui.widgets import entered
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chat_view import ChatView
from tui.widgets.chip_bar import ChipBar
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_keys import TurnKeys
from tui.widgets.turn_run import RunningTurn
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
        following = screen(pilot).changes
        following.seen = "something was stored"
        following.look()  # as the timer does, in its own task
        await wait.until(lambda: not following._looking, "what is stored was read")
        await loop_drained()
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


@pytest.mark.slow
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
        assert screen(pilot).chat.session_id is None
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
            await wait.until(
                lambda: desk.engine.store.conversation(mine).turns[-1].finish_reason, "its end"
            )
            held = screen(pilot)
            await wait.until(
                lambda: held.message_queue_size or held.chat.switching._waiters,
                "the timer that empties the feed",
            )
        await show(self, turns, running)  # type: ignore[arg-type]

    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Begun")
        mine = screen(pilot).chat.session_id
        assert mine is not None
        screen(pilot).open_session(other)
        await opened(pilot, other)
        monkeypatch.setattr(ChatPane, "show", slow)
        screen(pilot).open_session(mine)
        await sees(pilot, "Begun and done.")
        await idle(pilot)
        assert not [one for one in chat(pilot).query(ReplyTurn) if one.live]


@pytest.mark.slow
async def test_a_chat_that_was_left_at_its_end_opens_there_whenever_a_look_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk.chat(*LINES, age=timedelta(hours=2))
    two = desk.chat(*[line.replace("more", "much") for line in LINES])
    mount = ChatView._mount_below

    async def slow(self: ChatView, count: int) -> None:
        await mount(self, count)
        for _ in range(20):  # before, while and after the new turns are laid out
            screen(pilot).changes.look()
            await settle(pilot.app)

    async with desk.app(one).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        monkeypatch.setattr(ChatView, "_mount_below", slow)
        for wanted, words in ((two, "much of 59"), (one, "more of 59"), (two, "much of 59")):
            screen(pilot).open_session(wanted)
            await opened(pilot, wanted)
            screen(pilot).changes.look()
            assert screen(pilot).places.of(wanted) is None
            await sees(pilot, words)
            assert chat(pilot).mounted_turns == range(40, 60)


@pytest.mark.slow
async def test_a_place_is_where_one_went_before_the_window_has_scrolled(desk: Desk) -> None:
    session = desk.chat(*LINES)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "more of 59")
        turn = desk.engine.store.conversation(session).turns[20].id
        await chat(pilot).show_turn(turn, 1)
        assert chat(pilot).place == Place(turn, 1)
        await sees(pilot, "more of 20")
        assert chat(pilot).place == Place(turn, 1)


async def test_what_was_typed_right_before_quitting_is_in_the_draft(desk: Desk) -> None:
    session = desk.chat("one", "first")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await draft_read(pilot, session)
        for letter in "typed fast":
            pilot.app.post_message(Key("space" if letter == " " else letter, letter))
        pilot.app.post_message(Key("ctrl+q", None))
        await until(pilot, lambda: pilot.app._exit, "it ends")
    assert desk.engine.store.draft(session) == Draft("typed fast")


class Held:
    """Lets the store's answer to one request wait until the test releases it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Store, method: str) -> None:
        self.arrived, self.released = threading.Event(), threading.Event()
        ask = getattr(store, method)

        def held(*arguments: object, **options: object) -> object:
            answer = ask(*arguments, **options)
            if not self.arrived.is_set() and "head" not in options:  # nor what is read ahead
                self.arrived.set()
                assert self.released.wait(60)
            return answer

        monkeypatch.setattr(store, method, held)


@pytest.mark.slow
async def test_a_new_chat_that_is_stored_does_not_keep_one_from_the_chat_one_went_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = desk.chat("Other chat", "other answer")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Other chat")
        read = Held(monkeypatch, desk.engine.store, "conversation")
        screen(pilot).open_session(other)
        await until(pilot, read.arrived.is_set, "it is being read")
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)
        read.released.set()
        await opened(pilot, other)


async def test_a_chat_that_one_goes_to_is_opened_when_the_one_before_is_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.chat("one", "first", age=timedelta(hours=2))
    second = desk.chat("two", "second")
    async with desk.app(first).run_test(size=WIDE) as pilot:
        await opened(pilot, first)
        read = Held(monkeypatch, desk.engine.store, "conversation")
        screen(pilot).sidebar.delete(first)
        screen(pilot).open_session(second)
        await until(pilot, read.arrived.is_set, "it is being read")
        await sees(pilot, "Talk about pictures.")
        read.released.set()
        await opened(pilot, second)


async def test_keys_wait_while_another_chat_is_being_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("Look", "A cat", files=(picture_file("cat.png"),))
    arrived, go_on = asyncio.Event(), asyncio.Event()
    show = ChatPane.show

    async def slow(self: ChatPane, *args: object) -> None:
        arrived.set()
        await go_on.wait()
        await show(self, *args)  # type: ignore[arg-type]

    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        monkeypatch.setattr(ChatPane, "show", slow)
        tasks = [asyncio.create_task(screen(pilot).action_new_session())]
        await arrived.wait()  # the turns are those of the old chat, the id is none
        tasks.append(
            asyncio.create_task(screen(pilot).conversation.draft.attachments.action_show_picture())
        )
        tasks.append(asyncio.create_task(screen(pilot).conversation.action_answer_again()))
        composer(pilot).post_message(entered.Sent("Something new"))
        go_on.set()
        await asyncio.gather(*tasks)
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert sorted(notices(pilot)) == [
            "There is no question to answer yet.",
            "This chat has no picture yet.",
        ]
    assert [turn.text for turn in desk.engine.store.conversation(session).turns] == [
        "Look",
        "A cat",
    ]


@pytest.mark.slow
async def test_a_picture_that_opens_while_one_leaves_the_chat_does_not_follow(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("one", "first")
    give_up = ChipBar.give_up_opening
    may_open = threading.Event()

    def open_late(watch: object) -> tuple[PictureFile]:
        assert may_open.wait(60)
        return (picture_file("late.png"),)

    async def late(self: ChipBar) -> None:
        may_open.set()
        await until(pilot, lambda: self.files, "it was opened")
        await give_up(self)

    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await composer(pilot).chips.open("late.png", open_late)
        monkeypatch.setattr(ChipBar, "give_up_opening", late)
        await screen(pilot).action_new_session()
        assert composer(pilot).draft == Draft("")
        monkeypatch.setattr(ChipBar, "give_up_opening", give_up)
        screen(pilot).open_session(session)
        await until(pilot, lambda: composer(pilot).chips.files, "it is where it was attached")


@pytest.mark.slow
async def test_what_waits_goes_back_in_front_of_what_was_typed_there(desk: Desk) -> None:
    other = desk.chat("Elsewhere", "answer")
    desk.say("Writing", Gate())
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        mine = screen(pilot).chat.session_id
        assert mine is not None
        for words in ("Second", "Third"):
            await send(pilot, words)
            await sees(pilot, words)
        await type_text(pilot, "typed")
        screen(pilot).open_session(other)
        await opened(pilot, other)
        await pilot.press("escape")
        await idle(pilot)
        assert area(pilot).text == ""
        screen(pilot).open_session(mine)
        await until(pilot, lambda: area(pilot).text, "what was not sent")
        assert area(pilot).text == "Second\n\nThird\n\ntyped"


@pytest.mark.slow
async def test_what_was_sent_from_the_queue_is_no_draft_of_its_chat(desk: Desk) -> None:
    other = desk.chat("Elsewhere", "answer")
    gate = Gate()
    desk.say("Writing", gate)
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "First")
        await sees(pilot, "Writing")
        mine = screen(pilot).chat.session_id
        await send(pilot, "Second")
        await sees(pilot, "queued 1  Second")
        await type_text(pilot, "typed")
        screen(pilot).open_session(other)
        await opened(pilot, other)
        await until(
            pilot, lambda: desk.engine.store.draft(mine) == Draft("Second\n\ntyped"), "both"
        )
        gate.open()
        await until(pilot, lambda: desk.engine.store.draft(mine) == Draft("typed"), "one was sent")


async def test_what_was_put_aside_is_there_when_one_comes_back(desk: Desk) -> None:
    session = desk.chat("What is it?", "A cat")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await type_text(pilot, "begun")
        turn = pane(pilot).turns[0].id
        await composer(pilot).begin_edit(turn, Draft("What is it really?"))
        await screen(pilot).action_new_session()
        screen(pilot).open_session(session)
        await opened(pilot, session)
        assert composer(pilot).draft == Draft("What is it really?\n\nbegun")


async def test_an_older_list_does_not_replace_a_newer_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("Old name", "answer")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Old name")
        read = Held(monkeypatch, desk.engine.store, "sessions")
        screen(pilot).sidebar.list_sessions()
        await until(pilot, read.arrived.is_set, "an old list was read")
        screen(pilot).sidebar.rename(session, "New name")
        await sees(pilot, "▌ New name")
        read.released.set()
        await screen(pilot).workers.wait_for_complete(
            [worker for worker in screen(pilot).workers if worker.group == "engine"]
        )
        await pilot.pause()
        assert "▌ New name" in shown(pilot)


async def test_a_look_at_the_branch_that_one_left_is_old_news(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("one", "first", "Here", "second")
    old = desk.engine.store.conversation(session).turns
    desk.store.add_user_turn(session, Draft("Another way"), model="scripted", parent=old[1].id)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Another way")
        following = screen(pilot).changes
        await until(pilot, lambda: not following._looking, "the last look is over")
        read = Held(monkeypatch, desk.engine.store, "conversation")
        following.look(everything=True)
        await until(pilot, read.arrived.is_set, "the old branch was read")
        await screen(pilot).go_to(session, old[3].id)
        await sees(pilot, "second")
        read.released.set()
        await until(pilot, lambda: not following._looking, "the look is over")
        await pilot.pause()
        assert [turn.id for turn in pane(pilot).turns] == [turn.id for turn in old]


async def test_a_second_enter_does_not_close_the_chat_below(desk: Desk) -> None:
    desk.chat("alpha words", "first")
    async with desk.app().run_test(size=WIDE) as pilot:
        for open_page in (
            lambda: screen(pilot).sidebar.action_search("alpha"),
            lambda: pilot.app.push_screen(RenameScreen("alpha words")),
        ):
            await sees(pilot, "Talk about pictures.")
            open_page()
            await until(pilot, lambda: pilot.app.screen.query(Input), "the page")
            page = pilot.app.screen
            if isinstance(page, SearchScreen):
                await until(pilot, lambda p=page: p.query_one(OptionList).option_count, "a place")
            typed = page.query_one(Input)
            for _ in range(2):
                typed.post_message(Input.Submitted(typed, typed.value))
            await until(pilot, lambda p=page: not p.is_running, "it is closed")
            assert pilot.app.screen is screen(pilot)
            await screen(pilot).action_new_session()


async def test_a_message_that_was_sent_right_before_quitting_is_stored_or_a_draft(
    desk: Desk,
) -> None:
    session = desk.chat("one", "first")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await draft_read(pilot, session)
        for letter in "hello":
            pilot.app.post_message(Key(letter, letter))
        pilot.app.post_message(Key("enter", None))
        pilot.app.post_message(Key("ctrl+q", None))
        await until(pilot, lambda: pilot.app._exit, "it ends")
    stored = [turn.text for turn in desk.engine.store.conversation(session).turns]
    draft = desk.engine.store.draft(session)
    assert ("hello" in stored) != (draft == Draft("hello"))


async def test_what_is_typed_fast_on_a_selected_turn_is_all_text(desk: Desk) -> None:
    session = desk.chat("one", "first")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await screen(pilot).conversation.turns.select(pane(pilot).turns[0].id)
        bar = screen(pilot).query_one(TurnKeys)  # the focus moves only after the first letter
        for letter in "words here":
            bar.post_message(Key("space" if letter == " " else letter, letter))
        await until(pilot, lambda: area(pilot).text == "words here", "all letters")
        assert not pane(pilot).turns[0].pinned
