"""Long chats: a tail is mounted, older turns load on the way up, positions stay."""

from __future__ import annotations

from tests.tui.desk import NARROW, Desk, chat, sees, shown, until
from tui.widgets.chat_view import BATCH, TAIL
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.user_turn import UserTurn


def lines(count: int) -> list[str]:
    return [f"turn {i:02d}\n\n- a\n- b" for i in range(count)]


async def test_a_tail_is_mounted(desk: Desk) -> None:
    session = desk.chat(*lines(44))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 43")
        assert len(chat(pilot).children) == TAIL
        assert chat(pilot).hidden_turns == 24
        await until(pilot, lambda: chat(pilot).scroll_y == chat(pilot).max_scroll_y, "the end")


async def test_older_turns_load_at_the_top_and_the_place_stays(desk: Desk) -> None:
    session = desk.chat(*lines(44))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 43")
        view = chat(pilot)
        view.scroll_to(y=2, animate=False)
        await until(pilot, lambda: len(view.children) == TAIL + BATCH, "a batch")
        await until(pilot, lambda: not view._loading_older, "the place")
        before = "turn 24"
        assert before in shown(pilot)
        top = next(line for line in shown(pilot).splitlines()[2:] if "turn" in line)
        assert before in top
        while view.hidden_turns:
            view.scroll_home(animate=False, immediate=True)
            await pilot.press("pageup")
            await until(pilot, lambda: not view._loading_older, "the place")
        view.scroll_home(animate=False, immediate=True)
        await sees(pilot, "turn 00")
        kinds = [type(child) for child in view.children]
        assert kinds == [UserTurn, ReplyTurn] * 22


async def test_a_short_chat_hides_nothing(desk: Desk) -> None:
    session = desk.chat(*lines(4))
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "turn 03")
        assert chat(pilot).hidden_turns == 0
