"""Text typed right after the key of a page, or while its list has the focus, reaches its line."""

from __future__ import annotations

from threading import Event

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, TextArea

from assistant.values.conversation import Conversation, Draft
from tests.tui.desk import (
    WIDE,
    Desk,
    area,
    idle,
    notices,
    open_page,
    opened,
    screen,
    sees,
    send,
    shown,
    until,
)
from tests.wait import LIMIT_S
from tui.chat.screen import ChatScreen
from tui.pages.attach import AttachScreen
from tui.pages.choose import ChooseScreen
from tui.pages.edit_setting import EditSettingScreen
from tui.pages.search import SearchScreen
from tui.pages.write import WriteScreen
from tui.terminal.detect import Graphics
from tui.widgets.folder_list import FolderList
from tui.widgets.session_list import SessionList


def burst(pilot: Pilot[None], *keys: str) -> None:
    """Keys that come with one read of the terminal: nothing waits for what they do."""
    for key in keys:
        character = key if len(key) == 1 else None
        pilot.app.post_message(events.Key(key if key != " " else "space", character))


def line(pilot: Pilot[None]) -> str:
    return pilot.app.screen.query_one(Input).value


@pytest.mark.parametrize("key", ["ctrl+f", "f6", "ctrl+o"])
async def test_letters_right_after_the_key_are_for_its_page(desk: Desk, key: str) -> None:
    desk.chat("Hello", "Hi.", title="Herons here")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Herons here")
        below = pilot.app.screen
        burst(pilot, key, *"herons he")
        await until(pilot, lambda: pilot.app.screen is not below, "the page")
        await until(pilot, lambda: line(pilot) == "herons he", "all letters")
        assert area(pilot).text == ""


@pytest.mark.parametrize("with_draft", [False, True])
async def test_letters_before_the_app_reads_keys_are_for_the_message(
    desk: Desk, with_draft: bool
) -> None:
    if with_draft:
        desk.engine.store.save_draft(None, Draft("stored"))
    app = desk.app(graphics=Graphics(typed="what is\n1"))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("?")
        typed = "what is\n1?"
        wanted = f"stored\n{typed}" if with_draft else typed
        await until(pilot, lambda: area(pilot).text == wanted, "draft and typed text")
        await until(pilot, lambda: area(pilot).has_focus, "the text")


async def test_a_line_and_enter_before_the_app_reads_keys_are_sent(desk: Desk) -> None:
    desk.engine.store.save_draft(None, Draft("stored"))
    async with desk.app(graphics=Graphics(typed="What is it?\n")).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: desk.store.sessions(), "the message")
        await idle(pilot)
        (session,) = desk.store.sessions()
        assert desk.store.conversation(session.id).turns[0].text == "What is it?"
        kept = Draft("stored")  # the next new chat has it, or this one where it was read before
        await until(
            pilot, lambda: area(pilot).text == "stored" or desk.store.draft(None) == kept, "it"
        )


async def test_enter_alone_before_the_app_reads_keys_does_nothing(desk: Desk) -> None:
    async with desk.app(graphics=Graphics(typed="\n\n")).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        assert area(pilot).text == ""


TOGETHER = {
    ("a", "b", "backspace", "c"): "ac",
    (*"ab", "left", "x"): "axb",
    (*"ab", "home", "x"): "xab",
    (*"half", "ctrl+u", *"new"): "new",
    (*"ab cd", "ctrl+w", "x"): "ab x",
}


async def test_keys_that_come_together_edit_in_their_order(desk: Desk) -> None:
    """Letters went first: ctrl+u took those behind it, and a message was gone."""
    async with desk.app().run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        for keys, text in TOGETHER.items():
            burst(pilot, *keys, "end", ".")
            await until(pilot, lambda: "." in area(pilot).text, "the last key")
            assert area(pilot).text == f"{text}.", keys
            area(pilot).set_text("")
        burst(pilot, *"half", "ctrl+u", *"What is it?", "enter")
        await until(pilot, lambda: desk.store.sessions(), "the message")
        assert desk.store.sessions()[0].title == "What is it?"
        await idle(pilot)
        await open_page(pilot, "ctrl+f")
        burst(pilot, *"heron", "ctrl+u", *"tern", "backspace", "s")
        await until(pilot, lambda: line(pilot) == "ters", "all letters")


async def test_letters_before_a_text_has_the_focus_are_for_it(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.app.push_screen(WriteScreen("Say", "", ""))
        pilot.app.screen.set_focus(None)
        burst(pilot, *"So it is")
        field = pilot.app.screen.query_one(TextArea)
        await until(pilot, lambda: field.text == "So it is", "all letters")


async def test_enter_waits_for_what_is_found(desk: Desk) -> None:
    session = desk.chat("Where is the heron?", "In the water.", title="Birds")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Birds")
        await open_page(pilot, "ctrl+f")
        assert isinstance(pilot.app.screen, SearchScreen)
        burst(pilot, *"heron", "enter")
        await sees(pilot, "In the water.")
        chat = pilot.app.screen
        assert isinstance(chat, ChatScreen)
        assert chat.chat.session_id == session


@pytest.mark.slow
async def test_a_choice_can_be_typed_while_the_list_has_the_focus(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "f9")
        options = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count > 5, "the rows")
        options.highlighted = options.get_option_index("theme")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditSettingScreen), "the question")
        choices = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: choices.has_focus, "the list's focus")
        await pilot.press(*"phichat-ansi")
        assert line(pilot) == "phichat-ansi"
        await pilot.press("enter")
        await until(pilot, lambda: desk.engine.model.settings.theme == "phichat-ansi", "the theme")


async def test_typing_goes_to_the_line_from_the_folders_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.file("a.png")
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+o", "down")
        assert isinstance(pilot.app.screen, AttachScreen)
        folders = pilot.app.screen.query_one(FolderList)
        await until(pilot, lambda: folders.has_focus, "the folders' focus")
        await pilot.press(*"a.png")
        assert line(pilot) == "a.png"
        await pilot.press("enter")
        await until(pilot, lambda: "#1 a.png" in shown(pilot), "the picture")


@pytest.mark.slow
async def test_what_is_typed_while_the_first_chat_is_read_belongs_to_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, is_read, read = desk.chat("Hi", "Hello."), Event(), desk.store.conversation

    def read_late(session_id: str, head: str | None = None) -> Conversation:
        is_read.wait(LIMIT_S)
        return read(session_id, head=head)

    monkeypatch.setattr(desk.store, "conversation", read_late)
    desk.store.save_draft(session, Draft("kept"))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await pilot.press(*"So", "enter")
        await until(pilot, lambda: "still being opened" in str(notices(pilot)), "the notice")
        assert len(desk.store.sessions()) == 1, "no new chat was begun"
        await pilot.press("f4", "f3")
        await until(pilot, lambda: "press the key again" in str(notices(pilot)), "the advice")
        assert pilot.app.screen is screen(pilot), "no page of an empty chat"
        is_read.set()
        await opened(pilot, session)
        await until(pilot, lambda: area(pilot).text == "kept\nSo", "both")


async def test_a_first_chat_that_can_not_be_read_leaves_a_new_one(desk: Desk) -> None:
    async with desk.app("nothing").run_test(size=WIDE) as pilot:
        await until(pilot, lambda: notices(pilot), "the refusal")
        await send(pilot, "Hi")
        await until(pilot, lambda: desk.store.sessions(), "the new chat")


async def test_enter_after_letters_sends_them_from_a_selected_turn(desk: Desk) -> None:
    session = desk.chat("What is it?", "A star.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await pilot.press("ctrl+up")
        await until(pilot, lambda: screen(pilot).chat.selected, "the selected turn")
        burst(pilot, *"And its colour?", "enter")
        await until(pilot, lambda: len(desk.store.conversation(session).turns) > 2, "the message")
    assert desk.store.conversation(session).turns[2].text == "And its colour?"


TEXTS = ["/pin and so on", "explain it to me", "quit eating", "figure it out", "pet the cat"]


async def test_what_is_typed_together_over_a_selected_turn_is_text(desk: Desk) -> None:
    session = desk.chat("What is it?", "A star.")
    before = desk.store.all_turns(session)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        for selected in (1, 2):
            for words in TEXTS:
                for _ in range(selected):
                    await pilot.press("ctrl+up")
                await until(pilot, lambda: screen(pilot).chat.selected, "the selected turn")
                burst(pilot, *words)
                await until(pilot, lambda words=words: area(pilot).text == words, words)
                assert not notices(pilot)
                area(pilot).set_text("")
    assert desk.store.all_turns(session) == before


async def test_what_is_typed_together_over_the_list_is_text(desk: Desk) -> None:
    session = desk.chat("What is it?", "A star.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        for words in TEXTS:
            screen(pilot).query_one(SessionList).focus()
            await until(pilot, lambda: isinstance(pilot.app.focused, SessionList), "the list")
            burst(pilot, *words)
            await until(pilot, lambda words=words: area(pilot).text == words, words)
            area(pilot).set_text("")
    assert [one.pinned for one in desk.store.sessions()] == [False]


async def test_what_is_typed_together_over_the_actions_of_a_turn_does_none(desk: Desk) -> None:
    session = desk.chat("What is it?", "A star.")
    before = desk.store.all_turns(session)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A star.")
        await pilot.press("ctrl+up", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen), "the actions")
        burst(pilot, *"explain it, please", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        assert not notices(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen), "the actions")
        await pilot.press("p")
        await until(
            pilot, lambda: any(one.pinned for one in desk.store.all_turns(session)), "a pin"
        )
    assert [one.text for one in desk.store.all_turns(session)] == [one.text for one in before]


async def test_a_key_that_is_held_down_stays_a_key(desk: Desk) -> None:
    for number in range(6):
        desk.chat(f"Question {number}", "Yes.")
    async with desk.app().run_test(size=WIDE) as pilot:
        chats = screen(pilot).query_one(SessionList)
        await until(pilot, lambda: len(chats.sessions) == 6, "the chats")
        chats.focus()
        await until(pilot, lambda: pilot.app.focused is chats and chats.highlighted == 0, "it")
        burst(pilot, *"jjj")
        await until(pilot, lambda: chats.highlighted == 3, "the fourth")
    assert not [one for one in desk.store.sessions() if one.pinned]
