"""Search over all chats, the jump to what was found, and switching by title in the palette."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from assistant.values.conversation import Draft, Snippet
from assistant.values.errors import StorageError
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    idle,
    notices,
    open_page,
    picture_file,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.pages.search import SearchScreen, marked


def found(pilot: Pilot[None]) -> SearchScreen:
    assert isinstance(pilot.app.screen, SearchScreen)
    return pilot.app.screen


def stock(desk: Desk) -> str:
    """Three chats about birds and bills; returns a long one."""
    lines = [f"filler {n}" for n in range(50)]
    lines[10] = "Is the heron on the left [/] grey?"
    lines[11] = "Yes: a *grey* heron stands in the water."
    long = desk.chat(*lines, title="Birds at the lake", age=timedelta(hours=3))
    desk.chat(
        "Read the total",
        "The total is 41.90.",
        files=(picture_file("heron_bill.png"),),
        title="Receipt",
        age=timedelta(hours=2),
    )
    desk.chat("Hello", "Hello.", title="Herons in general", age=timedelta(minutes=20))
    return long


async def test_results_come_as_one_types_and_enter_goes_there(desk: Desk) -> None:
    long = stock(desk)
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Receipt")
        area(pilot).insert("a draft")
        await open_page(pilot, "ctrl+f", *"hero")  # the beginning of a word is enough
        await sees(pilot, "4 places, the best first.")
        text = shown(pilot)
        assert "Birds at the lake · the model · 2 h" in text
        assert "Birds at the lake · you · 2 h" in text
        assert "Receipt · a picture's name" in text
        assert "Herons in general · the title" in text
        assert "Is the heron on the left [/] grey?" in text
        await pilot.press("x")
        await sees(pilot, "Nothing has all these words.")
        await pilot.press("enter")  # there is nothing to go to
        await pilot.press("backspace", *"n stands")
        await sees(pilot, "1 place, the best first.")
        await pilot.press("enter")
        await sees(pilot, "a grey heron stands in the water.")
        assert screen(pilot).chat.session_id == long
        turn = screen(pilot).chat.selected_turn
        assert turn is not None
        assert turn.text.startswith("Yes: a *grey*")  # it is marked as the selected one
        await open_page(pilot, "ctrl+f")
        assert found(pilot).query_one(Input).value == "heron stands"  # to look at the next one
        await pilot.press("escape", "escape")
        assert area(pilot).has_focus


async def test_arrows_choose_while_one_types_and_a_title_opens_its_chat(desk: Desk) -> None:
    stock(desk)
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "/search heron")
        await sees(pilot, "4 places")
        options = found(pilot).query_one(OptionList)
        hits = found(pilot)._hits
        assert options.highlighted == 0
        await pilot.press("down", "down", "down", "down", "up")
        assert options.highlighted == 3
        place = next(i for i, hit in enumerate(hits) if hit.turn_id is None)
        options.highlighted = place
        await pilot.press("enter")
        await until(
            pilot, lambda: screen(pilot).chat.session_id == hits[place].session_id, "the chat"
        )
        await sees(pilot, "Hello.")


async def test_the_jump_goes_to_the_branch_where_it_was_said(desk: Desk) -> None:
    session = desk.chat("one", "first", "A wombat here", "second")
    turns = desk.engine.store.conversation(session).turns
    desk.store.add_user_turn(session, Draft("Another way"), model="scripted", parent=turns[1].id)
    assert all("wombat" not in turn.text for turn in desk.engine.store.conversation(session).turns)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Another way")
        await send(pilot, "/search wombat")
        await sees(pilot, "1 place,")
        await pilot.press("enter")
        await sees(pilot, "A wombat here")
        assert "Another way" not in shown(pilot)
        await sees(pilot, "second")  # to the newest turn of that branch
        assert screen(pilot).chat.selected_turn == turns[2]


@pytest.mark.slow
async def test_a_running_reply_is_not_left_for_another_branch(desk: Desk) -> None:
    session = desk.chat("one", "first", "A wombat here", "second")
    turns = desk.engine.store.conversation(session).turns
    desk.store.add_user_turn(session, Draft("Another way"), model="scripted", parent=turns[1].id)
    gate = Gate()
    desk.say("Begun", gate)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Another way")
        await pilot.press("ctrl+r")
        await sees(pilot, "Begun")
        await send(pilot, "/search wombat")
        await sees(pilot, "1 place,")
        await pilot.press("enter")
        await until(pilot, lambda: "another branch" in "".join(notices(pilot)), "a word")
        assert "Begun" in shown(pilot)
        gate.open()
        await idle(pilot)


async def test_one_search_at_a_time_and_the_last_words_win(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(desk)
    asked: list[str] = []
    looked: list[str] = []
    slow, first = threading.Event(), threading.Event()
    really = desk.engine.store.search

    def search(words: str, *, session_id: str | None = None, limit: int = 50) -> Sequence[Any]:
        asked.append(words)
        first.set()
        slow.wait(20)
        if words == "broken":
            raise StorageError("The database is gone.")
        return really(words, limit=limit)

    look = SearchScreen._look
    monkeypatch.setattr(desk.engine.store, "search", search)
    monkeypatch.setattr(SearchScreen, "_look", lambda page: looked.append(page.words) or look(page))
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+f", "f")
        await until(pilot, first.is_set, "the first search")
        for letters, words in (("il", "fil"), ("ler", "filler")):
            await pilot.press(*letters)
            await until(pilot, lambda w=words: looked[-1] == w, "the pause in the typing")
        assert asked == ["f"]  # no second one beside it, and the keys were not held up
        slow.set()
        await until(pilot, lambda: found(pilot)._hits, "hits")
        await until(pilot, lambda: asked == ["f", "filler"], "the last words")
        assert len(found(pilot)._hits) == 48
        found(pilot).query_one(Input).value = "broken"
        await until(pilot, lambda: "The database is gone." in notices(pilot), "the sentence")
        found(pilot).query_one(Input).value = "total"
        await sees(pilot, "The total is 41.90.")


@pytest.mark.slow
async def test_a_common_word_shows_the_best_hundred(desk: Desk) -> None:
    desk.chat(*[f"common {n}" for n in range(130)])
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+f", *"common")
        await sees(pilot, "The 100 best places. More words narrow it down.")


def test_what_was_found_is_bold_and_underlined() -> None:
    content = marked(Snippet("a [b] heron and a Heron", ((6, 11), (18, 23))))
    assert content.plain == "a [b] heron and a Heron"
    spans = [(span.start, span.end, str(span.style)) for span in content.spans]
    assert spans == [(6, 11, "bold underline"), (18, 23, "bold underline")]


@pytest.mark.slow
async def test_the_palette_switches_to_a_chat_by_its_title(desk: Desk) -> None:
    long = stock(desk)
    async with desk.app().run_test(size=WIDE) as pilot:
        await sees(pilot, "Receipt")
        await pilot.press("f6")
        await sees(pilot, "Chat: Herons in general")  # the chats used last, before one types
        await pilot.press("escape")
        await open_page(pilot, "ctrl+p", *"lake bird")
        await sees(pilot, "Chat: Birds at the lake")
        assert "Chat: Receipt" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, CommandPalette), "it closes")
        await until(pilot, lambda: screen(pilot).chat.session_id == long, "the chat")


async def test_words_that_begin_as_typed_come_first(desk: Desk) -> None:
    for title in ("Page 17", "Page 217"):
        desk.chat("x", "y", title=title)
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "f6", *"page 17")
        await sees(pilot, "Chat: Page 217")
        await sees(pilot, "Chat: Page 17")
        words = shown(pilot)
        assert words.index("Chat: Page 17") < words.index("Chat: Page 217")


@pytest.mark.slow
async def test_everything_typed_after_a_slash_is_in_the_palette(desk: Desk) -> None:
    session = desk.chat("Earlier", "a")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Earlier")
        await open_page(pilot, "ctrl+p", *"new chat that begins")
        await sees(pilot, "/fork")
        await pilot.press("enter")
        await until(pilot, lambda: screen(pilot).chat.session_id not in (None, session), "the fork")


async def test_the_open_chat_is_written_to_a_file_and_it_is_said_where(desk: Desk) -> None:
    session = desk.chat("Earlier", "An answer.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ Earlier")
        path = desk.folder / "talk.md"
        await send(pilot, f"/export {path}")
        await until(pilot, lambda: f"Written: {path}" in notices(pilot), "a sentence")
        assert "An answer." in path.read_text()
        await send(pilot, "/export talk.pdf")
        await until(pilot, lambda: ".html, .md or .json" in "".join(notices(pilot)), "a word")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_how_the_search_looks(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    stock(desk)

    async def scene(pilot: Pilot[None]) -> None:
        await open_page(pilot, "ctrl+f", *"heron")
        await until(pilot, lambda: found(pilot)._answered == "heron", "the last letter's places")
        await sees(pilot, "4 places")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)
