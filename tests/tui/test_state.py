"""The pages of the model's input and of the engine's state."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from assistant.values.context import LeftOut, Why
from assistant.values.errors import ModelError
from assistant.values.events import ModelStatus, Phase, Progressed, Stage
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    composer,
    idle,
    opened,
    pane,
    picture_file,
    png,
    screen,
    sees,
    select_turn,
    send,
    shown,
    status,
    type_text,
    until,
)
from tui.chat.notes import BOUNDARY, BOUNDARY_PINNED, NO_ROOM, seen_words
from tui.pages.context import ContextScreen
from tui.pages.help import HelpScreen
from tui.widgets.context_meter import ContextMeter, Measured, bar
from tui.widgets.long_text import LongText, wrapped


def meter(pilot: Pilot[None]) -> ContextMeter:
    return screen(pilot).query_one(ContextMeter)


def measured(pilot: Pilot[None]) -> Measured:
    found = meter(pilot).measured
    assert found is not None
    return found


async def counted(pilot: Pilot[None]) -> Measured:
    """Wait until what is on the screen now was counted."""
    chat, counter = screen(pilot).chat, screen(pilot).conversation.draft.counter

    def is_counted() -> bool:
        is_of_it = isinstance(counter.counted, tuple) and counter.counted[0] == chat.session_id
        return chat.is_open and is_of_it and meter(pilot).measured is not None

    await until(pilot, is_counted, "the first count")
    return measured(pilot)


async def test_the_meter_follows_what_is_typed_and_attached(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        empty = (await counted(pilot)).report.used
        await type_text(pilot, "What is this? " * 20)
        await until(pilot, lambda: measured(pilot).report.used > empty + 200, "the words")
        words = measured(pilot).report.used
        assert words == desk.engine.prompts.context(None, composer(pilot).draft).used
        await composer(pilot).chips.put_first(picture_file("cat.png", png(size=(640, 480))))
        await until(pilot, lambda: measured(pilot).report.pictures, "the picture")
        report = measured(pilot).report
        assert report.picture_tokens == report.pictures[0].tokens > 100
        assert not meter(pilot).display  # far from full
        await pilot.press("ctrl+l")
        await sees(pilot, "▩")  # pictures have a shape of their own, not only a colour
        await pilot.press("escape")
        area(pilot).clear()
        await composer(pilot).chips.remove_last()
        await until(pilot, lambda: measured(pilot).report.used == empty, "nothing is attached")


async def test_the_meter_warns_before_a_message_pushes_something_out(make_desk: MakeDesk) -> None:
    desk = make_desk(context=2100)
    session = desk.chat("a" * 300, "b" * 300, "c" * 200, "d" * 100)
    async with desk.app(session).run_test(size=(120, 24)) as pilot:
        await counted(pilot)
        await sees(pilot, "context ▰▰▰▰▰▰▰▰")
        assert not measured(pilot).report.left_out
        await type_text(pilot, "x" * 650)
        await sees(pilot, "sending leaves out")
        assert measured(pilot).leaves_out > 0
        await type_text(pilot, "x" * 2000)
        await sees(pilot, "too long")
        report = measured(pilot).report
        assert report.used > report.budget


@pytest.mark.slow
async def test_turns_out_of_the_window_are_marked_above_the_boundary(make_desk: MakeDesk) -> None:
    desk = make_desk(context=3130)
    lines = [letter * 200 for letter in "abcdefghijkl"]
    session = desk.chat(*lines)
    left_out = desk.engine.prompts.context(session).left_out
    assert left_out
    async with desk.app(session).run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: screen(pilot).conversation.turns._left_out_words, "the marks")
        await pilot.press("pageup", "pageup", "pageup")
        await sees(pilot, BOUNDARY)
        await sees(pilot, NO_ROOM)
        text = shown(pilot)
        assert text.index(NO_ROOM) < text.index(BOUNDARY)


def test_words_for_every_way_to_be_left_out(desk: Desk) -> None:
    session = desk.chat(
        "one", "two", "three", "four", "five", "six", files=(picture_file("a.png"),)
    )
    turns = desk.engine.store.conversation(session).turns
    gone = [LeftOut(turn, Why.NO_ROOM, 5) for turn in turns[:2]]
    words = seen_words(turns, gone)
    assert words == {turns[0].id: NO_ROOM, turns[1].id: NO_ROOM, turns[2].id: BOUNDARY}
    kept = seen_words(turns, [LeftOut(turns[1], Why.NO_ROOM, 5)])
    assert kept == {turns[1].id: NO_ROOM, turns[2].id: BOUNDARY_PINNED}
    picture = turns[0].pictures[0]
    only = seen_words(turns, [LeftOut(turns[0], Why.NO_ROOM, 5, picture)])
    assert only == {turns[0].id: "∅ picture 1 left out: no room for it"}
    only = seen_words(turns, [LeftOut(turns[0], Why.NOT_TAKEN, 5, picture)])
    assert only == {turns[0].id: "∅ picture 1 left out: more than the server takes"}
    question = replace(turns[2], excluded=True)
    taken = seen_words(
        (*turns[:2], question, *turns[3:]),
        [LeftOut(question, Why.EXCLUDED, 5), LeftOut(turns[3], Why.EXCLUDED, 5)],
    )
    assert list(taken) == [turns[3].id]  # the question itself says that it was taken out
    assert seen_words(turns, ()) == {}


@pytest.mark.slow
async def test_the_exact_prompt_is_shown_with_control_tokens_pictures_and_ids(desk: Desk) -> None:
    session = desk.chat(
        "What <|end|> is [b]it?", "A cat.", files=(picture_file("cat.png", png(size=(640, 480))),)
    )
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A cat.")
        await type_text(pilot, "and its colour?")
        await pilot.press("f4")
        await sees(pilot, "What the model sees")
        await sees(pilot, "and its colour?<|end|>")
        text = shown(pilot)
        assert "What <|end|> is [b]it?" in text
        assert "[picture 1, in slot 1 · cat.png · 640×480" in text
        assert "the reply begins here" in text
        assert "kept for the reply" in text
        ids = desk.engine.prompts.preview(session, composer(pilot).draft).prompt.parts[0]
        assert isinstance(ids, tuple)
        assert f"[{ids[0]}]" not in text
        await pilot.press("i")
        await sees(pilot, f"[{ids[0]}]")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "help")
        assert "Here: what the model sees" in shown(pilot)
        await pilot.press("escape", "escape")
        assert pilot.app.screen is screen(pilot)
        assert area(pilot).text == "and its colour?"


async def test_a_prompt_of_any_length_is_one_widget(desk: Desk) -> None:
    session = desk.chat("word " * 18_000, "Yes.")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(pilot.app.screen, ContextScreen), "the page")
        view = pilot.app.screen.query_one(LongText)
        await until(pilot, lambda: view.max_scroll_y > 1000, "the long prompt")
        assert len(list(pilot.app.screen.query("*"))) < 20
        await pilot.press("end")
        await sees(pilot, "the reply begins here")
        await pilot.press("home")
        await sees(pilot, "<|user|>")


def test_nothing_is_lost_where_lines_are_cut() -> None:
    line = (("abc", "text"), ("漢字漢字", "control"), ("x" * 25, "text"), (" and a word", "text"))
    whole = "".join(text for text, _ in line)
    for width in (2, 3, 7, 40):
        pieces = list(wrapped(line, width))
        rows = ["".join(text for text, _ in piece) for piece in pieces]
        assert "".join(rows) == whole
        assert all(cell_len(row.rstrip()) <= width for row in rows)


def test_lines_are_cut_between_words() -> None:
    line = (("<|user|>", "control"), (" The quick brown fox jumps over", "text"), ("it", "quiet"))
    rows = ["".join(text for text, _ in piece) for piece in wrapped(line, 20)]
    assert rows == ["<|user|> The quick ", "brown fox jumps ", "overit"]
    kinds = [kind for piece in wrapped(line, 20) for _, kind in piece]
    assert kinds == ["control", "text", "text", "text", "quiet"]
    assert list(wrapped((("", "text"),), 5)) == [(("", "text"),)]
    exact = [text for piece in wrapped((("hello world", "text"),), 5) for text, _ in piece]
    assert exact == ["hello ", "world"]


def test_the_bar_is_never_wider_than_it_is_and_never_hides_a_picture(desk: Desk) -> None:
    report = desk.engine.prompts.context(None)
    for used, budget in ((0, 100), (1, 100), (99, 100), (100, 100), (500, 100)):
        one = dataclasses.replace(
            report, used=used, limit=budget + report.max_new_tokens, pictures=()
        )
        drawn = bar(one).plain
        assert len(drawn) == 12
        assert (drawn.count("▰") > 0) is (used > 0)


async def test_loading_and_a_crash_are_shown_and_it_can_be_started_again(desk: Desk) -> None:
    plan = {"title": "A small CPU", "sentences": ("The weights are held in int8: 4.4 GB.",)}
    desk.core.phase, desk.core.detail = Phase.LOADING, "reading weights"
    desk.core.status = lambda: ModelStatus(  # type: ignore[method-assign]
        desk.core.phase, "scripted", False, desk.core.detail, 3_300_000_000, 8_300_000_000, plan
    )
    restarted = []
    desk.engine.model.restart = restarted.append  # type: ignore[method-assign]
    async with desk.app().run_test(size=(120, 40)) as pilot:
        await sees(pilot, "reading weights 39 %")
        assert "3.3 GB of 8.3 GB" in shown(pilot)
        desk.core.phase, desk.core.detail = Phase.FAILED, "The engine process ended."
        await sees(pilot, "F5 starts it again")
        await pilot.press("f5")
        await sees(pilot, "The engine process ended.")
        await sees(pilot, "The weights are held in int8: 4.4 GB.")
        assert "A small CPU" in shown(pilot)
        await pilot.press("r")
        await until(pilot, lambda: restarted == [desk.engine.model.settings], "the restart")
        desk.core.phase = Phase.READY
        await sees(pilot, "● ")


async def test_a_reply_that_does_not_come_keeps_no_engine(desk: Desk) -> None:
    gate = Gate()
    desk.say("Half", gate)
    desk.engine.model.restart = lambda settings: gate.open()  # type: ignore[method-assign]
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        await sees(pilot, "Half")
        await pilot.press("f5")
        await sees(pilot, "The engine")
        await pilot.press("r")
        await idle(pilot)
        await sees(pilot, "The engine is started again.")


@pytest.mark.slow
async def test_every_stage_of_a_turn_has_its_words(desk: Desk) -> None:
    steps = {
        Progressed(Stage.QUEUED, 2, 0, "waiting for 2 other requests"): "2 other requests",
        Progressed(Stage.PICTURES, 1, 4): "looking at the pictures 25 %",
        Progressed(Stage.PREFILL, 40, 100): "reading the chat 40 %",
        Progressed(Stage.REGIME, 1, 2): "rebuilding for the long context 50 %",
    }
    gates = [Gate() for _ in steps]
    desk.say(*(one for pair in zip(steps, gates, strict=True) for one in pair), "Yes.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        for words, gate in zip(steps.values(), gates, strict=True):
            await sees(pilot, words)
            assert words in status(pilot).work
            gate.open()
        await idle(pilot)


async def test_a_crash_in_a_reply_keeps_what_was_written(desk: Desk) -> None:
    desk.say("Half", ModelError("The engine process ended unexpectedly.", code="crashed"))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is it?")
        await idle(pilot)
        await sees(pilot, "Half")
        await sees(pilot, "The engine process ended unexpectedly.")
        await pilot.press("f5")
        await sees(pilot, "The engine")
        assert pane(pilot).turns[-1].text == "Half"


async def test_a_chat_that_was_held_with_another_model_says_so(desk: Desk) -> None:
    session = desk.chat("Who?", "Me.")
    desk.engine.store.set_model(session, "microsoft/Phi-3.5-vision-instruct")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "held with Phi-3.5-vision-instruct: F8 uses it again")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "held with" not in shown(pilot), "a new chat")


async def test_the_meter_counts_an_edited_message_in_its_place(desk: Desk) -> None:
    session = desk.chat("one two three", "yes", "four five six", "no " * 200)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        before = desk.engine.prompts.context(session).used
        await counted(pilot)
        await until(pilot, lambda: measured(pilot).report.used == before, "the chat is counted")
        await select_turn(pilot, "up", "e")
        await until(pilot, lambda: composer(pilot).edited, "the other version")
        # the reply to the old version is not in what the model would see
        await until(pilot, lambda: measured(pilot).report.used < before, "it counts without it")
        await pilot.press("f4")
        await sees(pilot, "four five six")
        assert "no no no" not in shown(pilot)
