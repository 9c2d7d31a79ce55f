"""Typing, sending, history, slash commands and completion."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual import events

from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    picture_file,
    png,
    screen,
    sees,
    select_turn,
    send,
    shown,
    until,
)
from tui.keys import (
    APP_KEYS,
    CHAT_KEYS,
    CHIP_KEYS,
    COMPOSER_KEYS,
    LIST_KEYS,
    TURN_ACTIONS,
    TURN_KEYS,
)
from tui.pages.help import HelpScreen
from tui.pages.write import WriteScreen
from tui.slashes import SLASHES
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chip import Chip
from tui.widgets.session_list import SessionList
from tui.widgets.turn_keys import TurnKeys


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter", "alt+enter"])
async def test_these_keys_break_the_line_and_enter_sends(desk: Desk, key: str) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("a", key, "b")
        assert area(pilot).text == "a\nb"
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert (
        desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns[0].text == "a\nb"
    )


async def test_what_is_typed_right_after_enter_is_the_next_message(desk: Desk) -> None:
    """Typed ahead of a busy screen: nothing is sent twice, neither words nor pictures."""
    path = desk.file("a.png")
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("first.png"))
        text = area(pilot)
        for words in ("first", "second", f"/attach '{path}'", "third"):
            text.call_later(text.insert, words)  # as keys come: one behind the other
            text.call_later(text._submit)
        shown, chips = screen(pilot).query_one(ChatPane), composer(pilot).chips
        await until(pilot, lambda: len(shown.turns) >= 4)
        # the third may be sent before its picture is there: it is kept then, the picture too
        await until(pilot, lambda: chips.files or len(shown.turns) == 6)
        await idle(pilot)
        is_kept = bool(chips.files)
        assert text.text == ("third" if is_kept else "")
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    sent = [(turn.text, len(turn.pictures)) for turn in turns[::2]]
    assert sent == [("first", 1), ("second", 0), ("third", 1)][: 2 if is_kept else 3]


async def test_the_composer_grows_to_eight_rows(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        heights = []
        for _ in range(12):
            heights.append(area(pilot).size.height)
            await pilot.press("ctrl+j")
        assert heights[0] == 1
        assert heights[4] == 5
        assert area(pilot).size.height == 8


async def test_blank_text_is_not_sent(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("space", "ctrl+j", "enter")
        await pilot.pause()
    assert desk.engine.store.sessions() == []


async def test_up_and_down_walk_the_prompts_and_keep_what_was_begun(desk: Desk) -> None:
    session = desk.chat("one\ntwo", "yes", "three", "yes")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "three")
        await pilot.press(*"new")
        await pilot.press("up")
        assert area(pilot).text == "three"
        await pilot.press("up")
        assert area(pilot).text == "one\ntwo"
        await pilot.press("up")  # inside the text first
        assert area(pilot).cursor_location[0] == 0
        await pilot.press("down", "down")
        assert area(pilot).text == "three"
        await pilot.press("down")
        assert area(pilot).text == "new"


async def test_slash_commands_run(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "Hello you")
        await send(pilot, "/rename  Greetings [/b]")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).title == "Greetings [/b]",
            "the chat is renamed",
        )
        await sees(pilot, "Greetings [/b]")
        await send(pilot, "/new")
        await sees(pilot, "Talk about pictures.")
        assert area(pilot).text == ""
        await send(pilot, "/help")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "help")
        await pilot.press("escape")
        await send(pilot, "/quit")
        await until(pilot, lambda: not pilot.app.is_running or pilot.app._exit, "the end")


async def test_an_unknown_command_is_named_and_its_text_stays(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "/atach cat.png")
        await until(pilot, lambda: notices(pilot), "a word about it")
        assert notices(pilot) == ["There is no command /atach. Did you mean /attach? tab takes it."]
        assert area(pilot).text == "/atach cat.png"
        await sees(pilot, "/atach is no command · tab: /attach")
        await pilot.press("tab")
        assert area(pilot).text == "/attach cat.png"
        area(pilot).set_text("/qwert")
        await pilot.press("enter")
        await until(pilot, lambda: len(notices(pilot)) > 1, "a word about it")
        assert notices(pilot)[-1] == "There is no command /qwert; F1 lists them all."


async def test_a_path_at_the_start_of_a_question_is_no_command(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "/tmp/nothing.png what is this?")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_tab_completes_commands(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("/", "a", "tab")
        assert area(pilot).text == "/attach "
        area(pilot).set_text("/re")
        await sees(pilot, "/recallall WORDS")
        await pilot.press("n")
        await sees(pilot, "Rename this chat")  # what it does
        assert "/recallall" not in shown(pilot)


async def test_tab_completes_paths_to_pictures_and_folders(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "My Pictures").mkdir()
    (tmp_path / "My Pictures" / "Cat one.PNG").write_bytes(png())
    (tmp_path / "My Pictures" / "notes.txt").write_text("no picture")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with desk.app().run_test(size=NARROW) as pilot:
        area(pilot).set_text("/attach ~/My")
        await pilot.press("tab")
        assert area(pilot).text == "/attach ~/My\\ Pictures/"
        await pilot.press("tab")
        assert area(pilot).text == "/attach ~/My\\ Pictures/Cat\\ one.PNG "
        await pilot.press("enter")
        await sees(pilot, "Cat one.PNG")
        assert area(pilot).text == ""
        area(pilot).set_text(f"/attach '{tmp_path}/My Pictures/c")
        await pilot.press("tab")
        assert area(pilot).text == f"/attach '{tmp_path}/My Pictures/Cat one.PNG' "


@pytest.mark.slow
async def test_tab_leaves_the_composer_only_where_nothing_is_typed(desk: Desk) -> None:
    desk.chat("Hello", "Hello you")
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello")
        await pilot.press(*"word", "tab", *" @pho", "tab", *"s")
        assert area(pilot).text == "word @phos", "letters are no keys of the list"
        area(pilot).clear()
        await pilot.press("tab")
        assert screen(pilot).focused is not area(pilot)


async def test_a_paste_of_text_is_text_without_escapes(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        area(pilot).post_message(events.Paste("just [b]text[/]\x1b[31m here\r\nand there"))
        await until(pilot, lambda: area(pilot).text, "the paste")
        assert area(pilot).text == "just [b]text[/] here\nand there"


async def test_typing_finds_the_composer_after_a_click_elsewhere(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        screen(pilot).set_focus(None)
        await pilot.press("h", "i")
        assert area(pilot).text == "hi"
        assert screen(pilot).focused is area(pilot)


@pytest.mark.slow
async def test_help_lists_every_key_and_command(desk: Desk) -> None:
    async with desk.app().run_test(size=(140, 320)) as pilot:
        await pilot.press("f1")
        await sees(pilot, "Keys and commands")
        words = " ".join(shown(pilot).replace("│", " ").split())  # long lines are wrapped
        for action in TURN_ACTIONS:
            assert action.does in words
        for key in (*CHAT_KEYS, *COMPOSER_KEYS, *LIST_KEYS, *CHIP_KEYS, *TURN_KEYS):
            assert key.shown in words
            assert key.does in words
        for slash in SLASHES:
            assert slash.name in words
            assert slash.does in words
        await pilot.press("f1")
        assert not isinstance(pilot.app.screen, HelpScreen)


def test_the_page_of_keys_names_every_key_and_command() -> None:
    tables = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    for key in (*CHAT_KEYS, *COMPOSER_KEYS, *APP_KEYS):
        assert re.search(rf"(?<![\w+]){re.escape(key.shown)}(?![\w+])", tables), key.shown
    for slash in SLASHES:
        assert f"`{slash.name}`" in tables, slash.name


@pytest.mark.slow
async def test_f1_names_the_keys_of_every_page_and_dialog(desk: Desk) -> None:
    file = picture_file("a.png")
    session = desk.chat("Look\n```\nx\n```\n```\ny\n```", "I see", files=(file,))

    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "I see")

        async def helps(section: str, key: str) -> None:
            here = pilot.app.screen
            await pilot.press("f1")
            await sees(pilot, f"Here: {section}")
            assert key in shown(pilot)
            await pilot.press("f1")
            await until(pilot, lambda: pilot.app.screen is here, "back")

        for keys, section, key in (
            (("f2",), "in a question", "Take what is marked"),
            (("f3",), "a picture, large", "The next picture"),
            (("f4",), "what the model sees", "token ids"),
            (("f5",), "the engine", "Start the engine again"),
            (("f6",), "in a question", "Take what is marked"),
            (("f8",), "models", "Stop the download"),
            (("f9",), "settings", "Back to its default"),
            (("ctrl+f",), "in the search", "Go to the place"),
            (("ctrl+o",), "attaching a picture", "Complete the path"),
        ):
            before = pilot.app.screen
            await pilot.press(*keys)
            await until(pilot, lambda was=before: pilot.app.screen is not was, section)
            await helps(section, key)
            await pilot.press("escape")
            await until(pilot, lambda was=before: pilot.app.screen is was, "closed")
        await send(pilot, "/system")
        await until(pilot, lambda: isinstance(pilot.app.screen, WriteScreen), "a longer text")
        await helps("in a longer text", "Keep the text")
        await pilot.press("escape")
        await composer(pilot).chips.put_first(file)
        composer(pilot).query_one(Chip).focus()
        await helps("on an attached picture", "in how many crops")
        await select_turn(pilot)
        await helps("on a selected turn", "The version before")
        screen(pilot).query_one(SessionList).focus()
        await helps("in the list of chats", "Rename the chat")


def test_no_key_is_one_that_terminals_confuse() -> None:
    rows = (*CHAT_KEYS, *COMPOSER_KEYS, *LIST_KEYS, *CHIP_KEYS, *TURN_KEYS)
    keys = {k for key in rows for k in key.keys.split(",")}
    assert not keys & {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+["}


async def test_every_key_of_the_table_is_bound_to_something_that_exists(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        parts = (*screen(pilot)._handlers, pilot.app)
        for row in (*CHAT_KEYS, *SLASHES):
            handler = f"action_{row.action.partition('(')[0]}"
            assert [hasattr(part, handler) for part in parts].count(True) == 1, handler
        for key in COMPOSER_KEYS:
            assert hasattr(area(pilot), f"action_{key.action}")
        for key in TURN_KEYS:
            assert hasattr(screen(pilot).query_one(TurnKeys), f"action_{key.action.split('(')[0]}")
        for key in CHIP_KEYS:
            assert hasattr(Chip, f"action_{key.action.partition('(')[0]}")


async def test_the_hint_says_what_enter_and_escape_do(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await sees(pilot, "enter sends")
        composer(pilot).busy = True
        await sees(pilot, "esc stops the reply")


async def test_what_is_typed_ahead_stays(desk: Desk) -> None:
    """On a busy machine the next words may be typed before the last ones were taken."""
    picture = desk.file("ahead.png")
    async with desk.app().run_test(size=NARROW) as pilot:
        field = area(pilot)
        field.insert(str(picture))
        await pilot.press("enter")
        field.insert("What is it?")
        await until(pilot, lambda: composer(pilot).chips.files, "the chip")
        assert field.text == "What is it?"
        await pilot.press("enter")
        field.insert("And then?")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert field.text == "And then?"
        field.set_text("/rename Holidays")
        await pilot.press("enter")
        field.insert("one more")
        await sees(pilot, "Holidays")
        assert field.text == "one more"
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    assert turns[0].text == "What is it?"
    assert [p.name for p in turns[0].pictures] == ["ahead.png"]


async def test_enter_waits_for_the_letters_before_it(desk: Desk) -> None:
    """A terminal may deliver a whole line at once; enter is a priority binding."""
    async with desk.app().run_test(size=NARROW) as pilot:
        area(pilot).focus()
        for key in [*"hi", "ctrl+j", *"you", "enter"]:
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert (
        desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns[0].text
        == "hi\nyou"
    )


FAMILY, ACCENTED = "👨‍👩‍👧‍👦", "e\u0301"


async def test_keys_take_a_joined_sign_as_one(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        area(pilot).set_text(f"a{FAMILY}{ACCENTED}b\nc")
        await pilot.press("left", "left", "left", "left")
        assert area(pilot).cursor_location == (0, 1 + len(FAMILY))
        await pilot.press("backspace")
        assert area(pilot).text == f"a{ACCENTED}b\nc"
        await pilot.press("delete")
        assert area(pilot).text == "ab\nc"
        area(pilot).set_text(f"{FAMILY}{ACCENTED}")
        await pilot.press("home", "right", "right", "left", "right")
        assert area(pilot).cursor_location == (0, len(FAMILY + ACCENTED))
        await pilot.press("backspace", "backspace")
        assert area(pilot).text == ""
        area(pilot).set_text("x🇩🇪🇫🇷")  # each is two letters
        await pilot.press("left", "backspace")
        assert area(pilot).text == "x🇫🇷"
        await pilot.press("delete")
        assert area(pilot).text == "x"


async def test_joiners_that_are_typed_stay_in_the_text(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        for word in ("می\u200cخواهم", FAMILY):
            for character in word:
                pilot.app.post_message(events.Key(character, character))
            await until(pilot, lambda: len(area(pilot).text) >= len(word), "the word")  # noqa: B023
            assert area(pilot).text == word
            area(pilot).set_text("")
