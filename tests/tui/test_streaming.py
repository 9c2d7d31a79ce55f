"""A reply on the screen while it grows: what is painted, and how often."""

from __future__ import annotations

import gc
import itertools
import random
import time

import pytest
from textual.app import App
from textual.strip import Strip
from textual.widget import Widget

import tui.chat.turn_runner
from tests.bench.tui_stream import KINDS, MORE_KINDS, reply
from tests.tiers import few_quick
from tests.tui.desk import NARROW, Desk, Gate, Sheet, composer, idle, send, until
from tui.widgets.reply_text import ReplyText
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_window import TurnWindow


def painted(app: App[None]) -> list[list[tuple[str, str]]]:
    """The cells of the screen as they were last painted, with their styles."""
    strips: list[Strip] = app.screen._compositor.render_strips()
    return [[(segment.text, str(segment.style)) for segment in strip] for strip in strips]


WIDENING = "| a | b |\n|---|---|\n" + "".join(f"| {'x' * n} | word |\n" for n in range(2, 40, 4))
TEXTS = {kind: reply(kind, 2400) for kind in (*KINDS, *MORE_KINDS)} | {"widening": WIDENING}


@pytest.mark.parametrize("kind", few_quick(TEXTS, 2))
async def test_what_is_painted_in_parts_is_what_is_painted_whole(kind: str) -> None:
    text, rng = TEXTS[kind], random.Random(kind)
    app = Sheet()
    async with app.run_test(size=(60, 120)) as pilot:
        text_widget, start = app.query_one(ReplyText), 0
        while start < len(text):
            end = start + rng.choice((3, 17, 60, 400))
            text_widget.grow(text[start:end])
            await pilot.pause()
            parts = painted(app)
            text_widget.refresh()
            await pilot.pause()
            assert parts == painted(app)
            start = end
            if rng.random() < 0.1:
                width = rng.choice((30, 60))
                await pilot.resize_terminal(width, 120)
                await until(pilot, lambda w=width: text_widget.size.width == w, "the width")
        text_widget.finish()
        await pilot.pause()
        streamed = painted(app)
        size = app.size
    whole = Sheet(text)
    async with whole.run_test(size=size) as pilot:
        await pilot.pause()
        assert painted(whole) == streamed


async def test_the_chat_looks_as_if_textual_drew_every_row(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are drawn more cheaply than by Textual are the same rows."""
    app = desk.app(desk.chat("Hello", TEXTS["mixed"][:1000]))
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ReplyText)))
        await pilot.pause()
        turn = app.screen.query_one(ReplyTurn)
        for theme, selected in itertools.product(("phichat-ink", "phichat-ansi"), (True, False)):
            app.theme = theme
            turn.set_class(selected, "-selected")
            await pilot.pause()
            ours = painted(app)
            with monkeypatch.context() as textual:
                for widget in (ReplyText, ReplyTurn, TurnWindow):
                    textual.setattr(widget, "render_lines", Widget.render_lines)
                assert painted(app) == ours


async def test_only_rows_that_changed_are_made_again() -> None:
    app = Sheet()
    async with app.run_test(size=(60, 40)) as pilot:
        text = app.query_one(ReplyText)
        text.grow("A paragraph.\n\n" * 10 + "And the last ")
        await pilot.pause()
        before = text.render_lines(text.size.region)
        text.grow("one.")  # in the same row
        await pilot.pause()
        after = text.render_lines(text.size.region)
        assert [y for y, strip in enumerate(after) if strip is not before[y]] == [20]
        text.grow("\n\nAnd one more.")  # everything is laid out again
        await pilot.pause()
        more = text.render_lines(text.size.region)
        assert len(more) == len(after) + 2
        assert all(strip is was for strip, was in zip(more, after, strict=False))


async def test_a_link_under_the_mouse_looks_different() -> None:
    app = Sheet("A [link](address) here")
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        before = painted(app)
        await pilot.hover(offset=(3, 0))
        await until(pilot, lambda: painted(app) != before)
        await pilot.hover(offset=(20, 0))
        await until(pilot, lambda: painted(app) == before)


async def test_a_theme_changes_rows_that_were_drawn(desk: Desk) -> None:
    session = desk.chat("Hello", "An answer with `code` in it")
    app = desk.app(session)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ReplyText)))
        text = app.screen.query_one(ReplyText)
        before = text.render_line(0)
        app.theme = "phichat-paper"
        await pilot.pause()
        assert text.render_line(0) != before


@pytest.mark.slow
async def test_keys_are_served_while_painting_is_dear(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a flush of any cost, the next one leaves three quarters of the time to others."""
    cost_s, waits = 0.08, []
    grow, next_interval = ReplyText.grow, tui.chat.turn_runner.next_interval

    def dear(widget: ReplyText, piece: str) -> None:
        began = time.thread_time()
        while time.thread_time() - began < cost_s:
            pass
        grow(widget, piece)

    def interval(cost: float) -> float:
        waits.append(next_interval(cost))
        return waits[-1]

    monkeypatch.setattr(ReplyText, "grow", dear)
    monkeypatch.setattr(tui.chat.turn_runner, "next_interval", interval)
    gate = Gate()
    desk.say(*["word "] * 50, gate, "end")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Go")
        await until(pilot, lambda: any(wait >= 3 * cost_s for wait in waits))
        await pilot.press(*"typed meanwhile".replace(" ", "_"))
        assert composer(pilot).area.text == "typed_meanwhile"
        gate.open()
        await idle(pilot)


@pytest.mark.slow
async def test_no_full_collection_stops_the_screen_while_a_reply_is_written(desk: Desk) -> None:
    gate = Gate()
    desk.say("word ", gate, "end")
    before = gc.get_threshold()
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Go")
        await until(pilot, gate.reached.is_set)
        assert gc.get_threshold() == (*before[:2], tui.chat.turn_runner.NEVER)
        gate.open()
        await idle(pilot)
        assert gc.get_threshold() == tui.chat.turn_runner.THRESHOLDS
