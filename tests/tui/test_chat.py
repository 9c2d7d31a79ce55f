"""A turn on the screen: sent, streamed, stopped, failed, asked again."""

from __future__ import annotations

import pytest

from assistant.models.progress import Progress
from assistant.values.conversation import Draft, FinishReason, Role
from assistant.values.errors import ModelError, StorageError
from assistant.values.events import Phase, Progressed, Stage
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    composer,
    idle,
    notices,
    opened,
    picture_file,
    screen,
    sees,
    send,
    shown,
    status,
    until,
)
from tui.pages.download import Download
from tui.widgets.drawing import Drawing
from tui.widgets.picture_drawing import PictureDrawing
from tui.widgets.picture_view import PictureView
from tui.widgets.reply_text import ReplyText
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.status_line import DEMO_WORDS
from tui.widgets.user_turn import UserTurn


async def test_a_question_and_its_streamed_answer(desk: Desk) -> None:
    gate = Gate()
    desk.say("It is a **red** circle.\n\nIts col", gate, "our is red.")
    async with desk.app().run_test(size=NARROW) as pilot:
        await sees(pilot, "Talk about pictures.")
        await send(pilot, "What is it?")
        await sees(pilot, "It is a red circle.")  # the closed block
        await sees(pilot, "Its col")  # the open one is there as text
        assert "Its colour" not in shown(pilot)
        assert area(pilot).text == ""
        gate.open()
        await sees(pilot, "Its colour is red.")
        await idle(pilot)
        assert "writing" not in shown(pilot)
    stored = desk.engine.store.conversation(desk.engine.store.sessions()[0].id)
    assert [turn.role for turn in stored.turns] == [Role.USER, Role.ASSISTANT]
    assert stored.turns[1].text == "It is a **red** circle.\n\nIts colour is red."


async def test_who_speaks_is_said_in_words(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "Hello you")
        lines = [line.strip(" ▌") for line in shown(pilot).splitlines()]
        assert lines.index("You") == lines.index("Hello") - 1
        assert lines.index("scripted") == lines.index("Hello you") - 1


async def test_pictures_stand_in_their_turn_with_number_name_and_size(desk: Desk) -> None:
    session = desk.chat(
        "Compare", "Done", files=(picture_file("a.png"), picture_file("b [red].png"))
    )
    async with desk.app(session).run_test(size=(100, 60)) as pilot:
        await sees(pilot, "Picture 1 · a.png · 64×48")
        await sees(pilot, "Picture 2 · b [red].png · 64×48")
        drawings = list(screen(pilot).query(Drawing))
        await until(pilot, lambda: all(d.drawn for d in drawings), "both are drawn")
        assert (drawings[0].size.width, drawings[0].size.height) == (37, 14)
        assert "▀" * 37 in shown(pilot)


async def test_a_picture_keeps_its_number_in_a_later_turn(desk: Desk) -> None:
    session = desk.chat("First", "Yes", files=(picture_file("a.png"),))
    async with desk.app(session).run_test(size=(100, 60)) as pilot:
        await sees(pilot, "Picture 1")
        await composer(pilot).chips.put_first(picture_file("later.png"))
        await send(pilot, "And this?")
        await sees(pilot, "Picture 2 · later.png")
        await idle(pilot)
    assert desk.engine.store.conversation(session).pictures[1].number == 2


async def test_a_picture_that_cannot_be_drawn_is_a_sentence(desk: Desk) -> None:
    session = desk.chat("Look", "Yes", files=(picture_file("a.png"),))

    def lost(sha256: str) -> bytes:
        raise StorageError("The picture is not in the database any more.")

    desk.engine.store.picture_data = lost  # type: ignore[method-assign]
    async with desk.app(session).run_test(size=NARROW) as pilot:
        view = screen(pilot)
        await until(pilot, lambda: view.query(PictureView), "the turn")
        view.query_one(PictureDrawing)._draw()
        await sees(pilot, "Picture 1 · a.png")


async def test_text_and_names_are_never_markup(desk: Desk) -> None:
    text = "[bold]what[/] is [/x.png] and **this** \\[red]?"
    session = desk.chat(text, "ok", files=(picture_file("[@click=app.quit]x[/].png"),))
    desk.engine.store.rename(session, "[/nope] [red]title")
    async with desk.app(session).run_test(size=(140, 50)) as pilot:
        await sees(pilot, text)
        assert "[@click=app.quit]x[/].png" in shown(pilot)
        assert "[/nope] [red]title" in shown(pilot)


async def test_escape_sequences_never_reach_the_screen(desk: Desk) -> None:
    desk.say("one \x1b[31mred\x1b[0m \x1b]0;ti", "tle\x07two \x1b", "[2Jthree\x9b1m four\x00")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "say \x1b[2J it")
        await sees(pilot, "one red two three four")
        await idle(pilot)
        assert "say it" in " ".join(shown(pilot).split())
        assert "title" not in shown(pilot)
        assert "\x1b" not in shown(pilot)
        await sees(pilot, "one red two three four")


async def test_html_in_a_reply_is_shown_not_swallowed(desk: Desk) -> None:
    desk.say("<div>kept</div>\n\nand <b>this</b>\n")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "html?")
        await idle(pilot)
        await sees(pilot, "<div>kept</div>")
        await sees(pilot, "and <b>this</b>")


async def test_escape_stops_the_reply_and_keeps_the_half(desk: Desk) -> None:
    gate = Gate()
    desk.say("Half of ", gate, "the answer")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Tell me")
        await sees(pilot, "Half of")
        assert "esc stops the reply" in shown(pilot)
        await pilot.press("escape")
        await sees(pilot, "stopped")
        await idle(pilot)
        assert "Half of" in shown(pilot)
        assert "the answer" not in shown(pilot)
    reply = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns[1]
    assert (reply.text.strip(), reply.finish_reason) == ("Half of", FinishReason.STOPPED)


async def test_progress_is_shown_in_percent(desk: Desk) -> None:
    gate = Gate()
    desk.say(Progressed(Stage.PREFILL, 410, 1000), gate, "Ready.")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Go")
        await sees(pilot, "reading the chat 41 %")
        gate.open()
        await sees(pilot, "Ready.")
        await idle(pilot)
        assert "41 %" not in shown(pilot)


async def test_a_failed_reply_is_one_sentence_and_can_be_tried_again(desk: Desk) -> None:
    desk.say("Half", ModelError("The model ran out of memory [/x]; attach fewer pictures."))
    desk.say("Whole.")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Look")
        await sees(pilot, "The model ran out of memory [/x]; attach fewer pictures.")
        assert "ctrl+t goes on, ctrl+r asks again" in shown(pilot)
        assert "Half" in shown(pilot)
        await idle(pilot)
        await pilot.press("ctrl+r")
        await sees(pilot, "Whole.")
        await idle(pilot)
        assert "Half" not in shown(pilot)


async def test_a_reply_that_failed_before_its_first_word_can_only_be_tried_again(
    desk: Desk,
) -> None:
    desk.say(ModelError("There is no room."))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Look")
        await sees(pilot, "There is no room.  ctrl+r tries again")
        await idle(pilot)


@pytest.mark.slow
async def test_a_half_reply_whose_model_failed_goes_on(desk: Desk) -> None:
    desk.say("Half", ModelError("The engine process ended unexpectedly."))
    desk.say("and whole.")  # the tokenizer puts a blank before a word
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Look")
        await sees(pilot, "ctrl+t goes on")
        await idle(pilot)
        await pilot.press("ctrl+t")
        await sees(pilot, "Half and whole.")
        await idle(pilot)


@pytest.mark.slow
async def test_an_unforeseen_error_is_a_sentence_too(desk: Desk) -> None:
    desk.say("Half", RuntimeError("[/boom]"))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Look")
        await sees(pilot, "Something unexpected failed")
        await idle(pilot)
        await send(pilot, "Still there?")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_a_refused_message_goes_back_into_the_composer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise StorageError("The disk is full: nothing was stored.")

    monkeypatch.setattr(desk.store, "add_user_turn", full)
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"))
        await send(pilot, "Keep me")
        await until(pilot, lambda: area(pilot).text == "Keep me", "the text comes back")
        await idle(pilot)
        assert [file.name for file in composer(pilot).chips.files] == ["a.png"]
        assert "The disk is full: nothing was stored." in notices(pilot)
        assert "Talk about pictures." in shown(pilot)


async def test_what_was_typed_meanwhile_stays_behind_what_comes_back(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        area(pilot).insert("second")
        await composer(pilot).put(Draft("first"))
        assert area(pilot).text == "first\nsecond"


async def test_regenerate_replaces_the_reply_on_the_screen(desk: Desk) -> None:
    session = desk.chat("Look", "The old answer")
    desk.say("The new answer")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "The old answer")
        await pilot.press("ctrl+r")
        await sees(pilot, "The new answer")
        await idle(pilot)
        assert "The old answer" not in shown(pilot)
        assert len(chat(pilot).query(ReplyTurn)) == 1


@pytest.mark.parametrize("reason", [None, FinishReason.INTERRUPTED])
async def test_an_unanswered_last_turn_is_marked_and_can_be_answered(
    desk: Desk, reason: FinishReason | None
) -> None:
    session, turn = desk.store.add_user_turn(None, Draft("Anyone?"), model="scripted")
    if reason is not None:
        desk.reply(session, turn, "I was just", reason)
    desk.say("Here I am.")
    mark = "interrupted" if reason else "no reply yet"
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, mark)
        assert "ctrl+r" in shown(pilot)
        await pilot.press("ctrl+r")
        await sees(pilot, "Here I am.")
        await idle(pilot)
        assert mark not in shown(pilot)


async def test_the_app_paints_before_the_model_loads_and_shows_its_state(desk: Desk) -> None:
    desk.core.phase, desk.core.detail = Phase.LOADING, "Reading weights, 40 %"
    async with desk.app().run_test(size=NARROW) as pilot:
        await sees(pilot, "Talk about pictures.")
        await sees(pilot, "Reading weights, 40 %")
        assert desk.core.preloaded == 1
        desk.core.phase, desk.core.detail = Phase.FAILED, "no such model [/x]"
        await sees(pilot, "✗ no such model [/x]")
        desk.core.phase, desk.core.detail = Phase.READY, ""
        await sees(pilot, "● scripted")


async def test_the_demo_model_is_named_in_chat_and_status_line(make_desk: MakeDesk) -> None:
    desk = make_desk(is_demo=True)
    async with desk.app().run_test(size=NARROW) as pilot:
        await sees(pilot, "The demo model answers: it knows only coloured shapes.")
        assert "demo model: knows only coloured shapes" in shown(pilot)
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert "demo model: knows only coloured shapes" in shown(pilot)


async def test_no_demo_words_with_the_real_model(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await sees(pilot, "● scripted")
        assert "emo model" not in shown(pilot)


@pytest.mark.slow
async def test_the_last_line_is_quiet_and_figures_are_a_key_away(make_desk: MakeDesk) -> None:
    desk = make_desk(context=8000)
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert shown(pilot).splitlines()[-1].strip() == "● scripted"
        await pilot.press("f5")
        await sees(pilot, "the first after")
        assert "tokens/s" not in shown(pilot)  # too short to tell
        await pilot.press("escape")
        desk.say("A longer answer. " * 3)
        await send(pilot, "Hello again")
        await sees(pilot, "A longer answer.")
        await idle(pilot)
        await pilot.press("f5")
        await sees(pilot, "21.5 tokens/s")
        await pilot.press("escape", "f4")
        await sees(pilot, "6.9k until the oldest goes")


async def test_progress_goes_before_the_words_about_the_demo(make_desk: MakeDesk) -> None:
    desk = make_desk(is_demo=True)
    async with desk.app().run_test(size=NARROW) as pilot:
        line = status(pilot)
        await sees(pilot, DEMO_WORDS)
        line.work = "reading the chat ▰▰▰▱▱▱▱▱ 40 %"
        await sees(pilot, f"{DEMO_WORDS}  reading the chat ▰▰▰▱▱▱▱▱ 40 %")
        bar = screen(pilot).status_bar  # it asks its download again and again
        download = Download(bar._engine, "microsoft/Phi-3.5-vision-instruct")
        download.progress = Progress("fetching", "", 10**9, 83 * 10**8, 12e6, 660.0)
        line.work, bar._download = "", download
        await sees(pilot, "⇣ Phi-3.5-vision-instruct 12 %")
        assert "demo model" not in shown(pilot).splitlines()[-1]
        bar._download = None
        await sees(pilot, DEMO_WORDS)


async def test_every_kind_of_block_arrives_token_by_token(desk: Desk) -> None:
    text = (
        "# Title\n\nSome *words*.\n\n- one\n- two\n\n  more of two\n- three\n\n"
        "```python\nx = 1\n\n- no list\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nThe end."
    )
    gates = [Gate() for _ in text]
    desk.say(*[step for pair in zip(text, gates, strict=True) for step in pair])
    async with desk.app().run_test(size=(100, 50)) as pilot:
        await send(pilot, "All kinds")
        for gate in gates:
            gate.open()
        await idle(pilot)
        streamed = shown(pilot)
        for words in ("Title", "• one", "• three", "- no list", "The end."):
            assert words in streamed


@pytest.mark.slow
async def test_scrolling_up_releases_the_end_and_ctrl_end_goes_back(desk: Desk) -> None:
    session = desk.chat(*[f"line {i}\nmore\nmore" for i in range(12)])
    gate = Gate()
    desk.say("start\n\n", gate, "and\n\nmore\n\n" * 10)
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "line 11")
        await send(pilot, "Go on")
        await sees(pilot, "start")
        await pilot.press("pageup")
        place = chat(pilot).scroll_y
        assert place < chat(pilot).max_scroll_y
        gate.open()
        await idle(pilot)
        assert chat(pilot).scroll_y == place
        await pilot.press("ctrl+end")
        await until(pilot, lambda: chat(pilot).scroll_y == chat(pilot).max_scroll_y, "the end")


async def test_turns_alternate_in_order(desk: Desk) -> None:
    session = desk.chat("q1", "a1", "q2", "a2")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "a2")
        kinds = [type(child) for child in chat(pilot).children]
        assert kinds == [UserTurn, ReplyTurn, UserTurn, ReplyTurn]


async def test_a_missing_model_is_a_sentence_and_nothing_typed_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ModelError("There is no model [/x] on this machine; phichat models pull gets one.")

    monkeypatch.setattr(desk.core, "facts", missing)
    async with desk.app().run_test(size=WIDE, notifications=True) as pilot:
        await send(pilot, "Keep me")
        await sees(pilot, "There is no model [/x] on this machine")
        await idle(pilot)
        await until(pilot, lambda: area(pilot).text == "Keep me", "the text comes back")
    assert desk.engine.store.sessions() == []


async def test_a_link_in_a_reply_shows_where_it_leads_and_opens_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = desk.chat("Where?", "[here](https://example.org/a%20[/b])")
    async with desk.app(session).run_test(size=WIDE, notifications=True) as pilot:
        followed: list[str] = []
        monkeypatch.setattr(pilot.app, "open_url", followed.append)
        await opened(pilot, session)
        text = chat(pilot).query_one(ReplyText)
        await pilot.click(text, offset=(1, 0))
        await sees(pilot, "https://example.org/a%20%5B/b%5D")
        assert followed == []
