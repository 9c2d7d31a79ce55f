"""Hints: keys at the lower edge of what has the focus, in its present state."""

from __future__ import annotations

import re

import pytest
from textual.pilot import Pilot

from tests.tiers import few_quick
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
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
    shown,
    threads_ended,
    until,
)
from tui.keys import TURN_ACTIONS
from tui.pages.help import HelpScreen
from tui.widgets.chip import Chip
from tui.widgets.hints import hints_of, in_lines, in_one_line


def _unmarked(pilot: Pilot[None]) -> list[str]:
    """Return the lines of the screen without the bars that mark turns."""
    return [line.replace("▌", " ").rstrip() for line in shown(pilot).splitlines()]


@pytest.mark.parametrize("length", [3, 12, 40], ids=["short", "as long as the window", "long"])
async def test_selecting_a_turn_moves_nothing(desk: Desk, length: int) -> None:
    words = "A reply that is about as wide as the window is, and somewhat wider. " * 2
    session = desk.chat(*(words if i % 2 else f"Question {i}?" for i in range(length)))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        before = _unmarked(pilot)
        await select_turn(pilot)
        assert _unmarked(pilot)[:-2] == before[:-2]  # the edge that shows the keys
        assert "c copy" in shown(pilot).splitlines()[-2]
        await pilot.press("escape")
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        assert _unmarked(pilot) == before


def test_no_key_is_parted_from_its_word() -> None:
    hints = hints_of(TURN_ACTIONS)
    for room in range(8, 120):
        whole = {f"{key} {word}" for key, word in hints}
        assert set(in_one_line(hints, room).plain.split(" · ")) <= whole
        lines = in_lines(hints, room).plain.split("\n")
        assert [part for line in lines for part in line.split(" · ")] == [
            f"{key} {word}" for key, word in hints
        ]
        assert all(len(line) <= room for line in lines if " · " in line)


@pytest.mark.slow
async def test_a_key_of_a_turn_says_what_it_does_now(desk: Desk) -> None:
    session = desk.chat("One?", "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await select_turn(pilot)
        await sees(pilot, "p pin · x take out")
        await pilot.press("p")
        await sees(pilot, "p unpin · x take out")
        await open_page(pilot, "f1")
        assert isinstance(pilot.app.screen, HelpScreen)
        assert "Unpin: the model sees it while there is room" in shown(pilot)
        await pilot.press("escape", "p", "x")
        await sees(pilot, "p pin · x put back")


async def test_the_list_says_its_keys_as_they_are_for_its_chat(desk: Desk) -> None:
    session = desk.chat("One?", "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        assert "F2 rename" not in shown(pilot)
        await pilot.press("ctrl+b", "ctrl+b")
        await sees(pilot, "F2 rename · p pin")
        await pilot.press("p")
        await sees(pilot, "p unpin")
        await open_page(pilot, "f1")
        assert "Unpin the chat" in shown(pilot)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: area(pilot).has_focus, "the text")
        assert "F2 rename" not in shown(pilot)


@pytest.mark.parametrize("way", ["key", "click"])
async def test_the_list_begins_a_new_chat(desk: Desk, way: str) -> None:
    session = desk.chat("One?", "Yes.")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await sees(pilot, "+ New chat  ctrl+n")
        if way == "key":
            await pilot.press("ctrl+b", "ctrl+b", "n")
        else:
            await pilot.click("NewChat")
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "an empty chat")
        await until(pilot, lambda: area(pilot).has_focus, "the text")


async def test_with_a_chip_focused_the_edge_says_what_enter_does(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).chips.put_first(picture_file("cat.png"))
        composer(pilot).query_one(Chip).focus()
        await sees(pilot, "enter crops")
        assert "enter sends" not in shown(pilot)
        area(pilot).focus()
        await sees(pilot, "enter sends")


@pytest.mark.slow
async def test_answering_a_turn_in_the_middle_says_where_the_rest_is(desk: Desk) -> None:
    session = desk.chat("q1", "a1", "q2", "a2")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await select_turn(pilot, "up", "up", "r")
        await until(pilot, lambda: notices(pilot), "a word")
        await idle(pilot)
        assert "What followed is in version 1: select this turn" in notices(pilot)[-1]
        count = len(notices(pilot))
        await pilot.press("ctrl+r")  # the last turn: nothing followed
        await idle(pilot)
        assert len(notices(pilot)) == count


@pytest.mark.slow
async def test_transcript_composer_and_scrollbar_are_one_column(desk: Desk) -> None:
    session = desk.chat(*(f"Line {i}" for i in range(60)))
    async with desk.app(session).run_test(size=(200, 50)) as pilot:
        await opened(pilot, session)
        transcript, below = chat(pilot).region, composer(pilot).region
        assert (transcript.x, transcript.right) == (below.x, below.right)
        assert chat(pilot).vertical_scrollbar.region.right == below.right
        stage = screen(pilot).sidebar.region.right
        assert abs((below.x - stage) - (200 - below.right)) <= 1


FRAMES = {"round", "tall", "solid", "outer", "thick", "heavy", "double", "inner", "panel", "wide"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "key",
    few_quick(["f8", "f10", "f12", "f1", "f2", "f3", "f4", "f5", "f9", "ctrl+f", "ctrl+o"], 3),
)
async def test_every_page_is_one_frame_and_says_esc_back(desk: Desk, key: str) -> None:
    session = desk.chat("One?", "Yes.", files=[picture_file("a.png")])
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await opened(pilot, session)
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.screen is not screen(pilot), "the page")
        await threads_ended(pilot)
        page = pilot.app.screen
        assert "esc back" in shown(pilot)
        await pilot.resize_terminal(24, 8)
        last = -1 if page.query(".dialog, .page") else -2  # F3 has no frame, and the facts below
        await until(pilot, lambda: "esc back" in shown(pilot).splitlines()[last], "the last hint")
        assert "…" not in shown(pilot).splitlines()[last]
        await pilot.resize_terminal(*WIDE)
        await threads_ended(pilot)
        assert not re.search("session|conversation", shown(pilot), re.IGNORECASE)  # a chat
        for frame in page.query(".dialog, .page"):
            for inside in frame.query("*"):
                kinds = [kind for kind, _ in inside.styles.border]
                assert kinds.count("") >= 3 or not FRAMES & set(kinds), (inside, kinds)
