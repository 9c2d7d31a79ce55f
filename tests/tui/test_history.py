"""Long chats: a tail is mounted, older turns load on the way up, positions stay."""

from __future__ import annotations

import re

import pytest

from tests.tui.desk import NARROW, WIDE, Desk, Gate, chat, idle, sees, send, shown, until
from tui.widgets.chat_view import ChatView
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_window import BATCH, MOST, TAIL
from tui.widgets.user_turn import UserTurn


def lines(count: int) -> list[str]:
    return [f"turn {i:02d}\n\n- a\n- b" for i in range(count)]


async def test_a_tail_is_mounted(desk: Desk) -> None:
    session = desk.chat(*lines(44))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 43")
        assert len(chat(pilot).children) == TAIL
        assert chat(pilot).mounted_turns.start == 24
        await until(pilot, lambda: chat(pilot).scroll_y == chat(pilot).max_scroll_y, "the end")


async def test_older_turns_load_at_the_top_and_the_place_stays(desk: Desk) -> None:
    session = desk.chat(*lines(44))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 43")
        view = chat(pilot)
        view.scroll_to(y=2, animate=False)
        await until(pilot, lambda: len(view.children) == TAIL + BATCH, "a batch")
        await until(pilot, lambda: not view._moving, "the place")
        before = "turn 24"
        assert before in shown(pilot)
        top = next(line for line in shown(pilot).splitlines()[2:] if "turn" in line)
        assert before in top
        while view.mounted_turns.start:
            view.scroll_home(animate=False, immediate=True)
            await pilot.press("pageup")
            await until(pilot, lambda: not view._moving, "the place")
        view.scroll_home(animate=False, immediate=True)
        await sees(pilot, "turn 00")
        kinds = [type(child) for child in view.children]
        assert kinds == [UserTurn, ReplyTurn] * 22


def place_of(view: ChatView, text: str) -> float:
    """Return the row of the turn that begins with ``text``, from the top of the pane."""
    for widget in view.query(UserTurn):
        if widget.turn.text.startswith(text):
            return widget.virtual_region.y - view.scroll_y
    raise AssertionError(f"{text} is not mounted")


@pytest.mark.slow
async def test_the_window_moves_both_ways_and_never_holds_more(desk: Desk) -> None:
    session = desk.chat(*lines(2 * MOST))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, f"turn {2 * MOST - 1}")
        view = chat(pilot)
        for keys in ("pageup", "pagedown"):
            seen = set(re.findall(r"turn \d+", shown(pilot)))
            for _ in range(65):
                await pilot.press(keys)
                await until(pilot, lambda: not view._moving, "the place")
                assert len(view.children) <= MOST
                seen |= set(re.findall(r"turn \d+", shown(pilot)))
            assert seen >= {f"turn {i:02d}" for i in range(2 * MOST)}
        assert view.at_last_turn
        await send(pilot, "One more")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert len(view.children) <= MOST


async def test_the_place_stays_when_turns_come_above_and_go_below(desk: Desk) -> None:
    session = desk.chat(*lines(120))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 119")
        view = chat(pilot)
        for _ in range(5):
            start = view.mounted_turns.start
            view.scroll_to(y=2, animate=False, immediate=True)
            before = place_of(view, f"turn {start + 2}")
            await until(pilot, lambda s=start: view.mounted_turns.start < s, "a batch")
            await until(pilot, lambda: not view._moving, "the place")
            assert place_of(view, f"turn {start + 2}") == before


async def test_a_turn_anywhere_can_be_shown(desk: Desk) -> None:
    session = desk.chat(*lines(140))
    turns = desk.engine.store.conversation(session).turns
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 139")
        view = chat(pilot)
        for index in (40, 44, 0, 139, 71):
            assert await chat(pilot).show_turn(turns[index].id)
            await sees(pilot, f"turn {index:02d}")
            widget = next(w for w in view.children if getattr(w, "turn", None) == turns[index])
            at_top = widget.region.y == view.region.y
            assert at_top or view.scroll_y == view.max_scroll_y
            assert len(view.children) <= MOST
        assert not await chat(pilot).show_turn("no such turn")
        await pilot.press("ctrl+end")
        await sees(pilot, "turn 139")


@pytest.mark.slow
async def test_a_reply_grows_out_of_sight_and_is_there_on_the_way_back(desk: Desk) -> None:
    session = desk.chat(*lines(100))
    turns = desk.engine.store.conversation(session).turns
    gate = Gate()
    desk.say("Begun, ", gate, "and done.")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 99")
        await send(pilot, "Go on")
        await sees(pilot, "Begun,")
        await chat(pilot).show_turn(turns[10].id)
        await sees(pilot, "turn 10")
        assert "Begun" not in shown(pilot)
        await pilot.press("ctrl+end")
        await sees(pilot, "Begun,")
        await chat(pilot).show_turn(turns[10].id)
        await sees(pilot, "turn 10")
        gate.open()
        await idle(pilot)
        assert "done." not in shown(pilot)
        await pilot.press("ctrl+end")
        await sees(pilot, "Begun, and done.")


async def test_a_short_chat_hides_nothing(desk: Desk) -> None:
    session = desk.chat(*lines(4))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 03")
        assert chat(pilot).mounted_turns.start == 0


@pytest.mark.slow
async def test_a_short_chat_stands_at_the_top_whatever_is_done(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        places = []
        for keys in ((), ("ctrl+up",), ("escape", "pageup"), ("ctrl+end",)):
            await pilot.press(*keys)
            await pilot.pause()
            places.append((chat(pilot).scroll_y, shown(pilot).index("q1")))
        assert places[0][0] == 0
        assert len(set(places)) == 1
