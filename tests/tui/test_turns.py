"""Actions on single turns."""

from __future__ import annotations

import pytest

from assistant.values.conversation import Draft, FinishReason, TurnKind
from assistant.values.text import quoted
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    idle,
    notices,
    opened,
    pane,
    picture_file,
    screen,
    sees,
    select_turn,
    send,
    shown,
    until,
)
from tui.chat.turn_actions import code_blocks
from tui.widgets.chat_view import UNANSWERED
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.user_turn import UserTurn

CODE = "Two:\n\n```python\nx = 1\n```\n\n```sh\nls\n```\n"


@pytest.mark.slow
async def test_turns_are_selected_by_key_and_the_line_says_what_can_be_done(desk: Desk) -> None:
    session = desk.chat("q1", "a1", "q2", "a2")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a2")
        await pilot.press("ctrl+up")
        await sees(pilot, "Reply")
        assert "c copy" in shown(pilot)
        assert "e edit" not in shown(pilot)
        await pilot.press("up")
        await sees(pilot, "e edit")
        turn = screen(pilot).chat.selected_turn
        assert turn is not None
        assert turn.text == "q2"
        await pilot.press("up", "up", "up")  # not beyond the first
        turn = screen(pilot).chat.selected_turn
        assert turn is not None
        assert turn.text == "q1"
        await pilot.press("down", "down", "down", "down")
        await until(pilot, lambda: area(pilot).has_focus, "below the last is the text")
        assert "e edit" not in shown(pilot)


async def test_a_click_selects_and_what_is_typed_then_is_text(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        await pilot.click(chat(pilot).query_one(UserTurn))
        await sees(pilot, "Message")
        await pilot.press("H", "e")
        await until(pilot, lambda: area(pilot).text == "He", "the text")
        assert screen(pilot).chat.selected_turn is None


async def test_pinning_and_taking_out_are_marked_and_undone(desk: Desk) -> None:
    session = desk.chat("q1", "a1", "q2", "a2")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a2")
        await select_turn(pilot, "up", "p")
        await sees(pilot, "▲ pinned")
        assert [turn.pinned for turn in desk.engine.store.conversation(session).turns][2]
        await pilot.press("p")
        await until(pilot, lambda: "pinned" not in shown(pilot), "no longer")
        await pilot.press("x")
        await sees(pilot, "the model doesn't see this")
        excluded = [turn.excluded for turn in desk.engine.store.conversation(session).turns]
        assert excluded[:2] == [False, False]
        assert excluded[2]
        await pilot.press("x")
        await until(pilot, lambda: "doesn't see" not in shown(pilot), "back in")


@pytest.mark.slow
async def test_any_reply_can_be_made_again_and_one_steps_through_them(desk: Desk) -> None:
    session = desk.chat("q1", "first answer", "q2", "a2")
    desk.say("second answer")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a2")
        await select_turn(pilot, "up", "up", "r")
        await sees(pilot, "second answer")
        await idle(pilot)
        assert "first answer" not in shown(pilot)
        assert "q2" not in shown(pilot)  # it followed the old answer
        await sees(pilot, "‹2/2›")
        await select_turn(pilot, "left")
        await sees(pilot, "first answer")
        await sees(pilot, "‹1/2›")
        assert "a2" in shown(pilot)
        await pilot.press("right")
        await sees(pilot, "second answer")
        await pilot.press("right")
        await until(pilot, lambda: "This is the last version." in notices(pilot), "a word")
        await pilot.press("left")
        await sees(pilot, "first answer")
        await pilot.press("left")
        await until(pilot, lambda: "This is the first version." in notices(pilot), "another")
    assert len(desk.engine.store.all_turns(session)) == 5


async def test_a_message_is_edited_with_its_pictures_and_the_old_one_stays(desk: Desk) -> None:
    session = desk.chat("What is it?", "A cat", files=(picture_file("a.png"),))
    desk.say("A dog")
    async with desk.app(session).run_test(size=(140, 60)) as pilot:
        await sees(pilot, "A cat")
        await pilot.press(*"begun")
        await select_turn(pilot, "up", "e")
        await until(pilot, lambda: area(pilot).text == "What is it?", "its words")
        await sees(pilot, "#1 a.png")  # it keeps its number
        assert "another version" in shown(pilot)
        area(pilot).set_text("What is it really?")
        await pilot.press("enter")
        await sees(pilot, "A dog")
        await idle(pilot)
        assert "A cat" not in shown(pilot)
        assert "Picture 1 · a.png" in shown(pilot)
        assert area(pilot).text == "begun"  # what was put aside
        await select_turn(pilot, "up")
        await sees(pilot, "Message ‹2/2›")
        await pilot.press("left")
        await sees(pilot, "A cat")


async def test_escape_leaves_a_message_as_it_was(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "a1")
        await pilot.press(*"begun")
        await select_turn(pilot, "up", "e")
        await until(pilot, lambda: area(pilot).text == "q1", "the message")
        await pilot.press("escape")
        await until(pilot, lambda: area(pilot).text == "begun", "what was being written")


@pytest.mark.parametrize("key", ["ctrl+t", "command"])
async def test_a_half_reply_goes_on_where_it_stopped(desk: Desk, key: str) -> None:
    desk.say("Half of ", Gate())
    desk.say(" the answer")
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "Tell me")
        await sees(pilot, "Half of")
        await pilot.press("escape")
        await sees(pilot, "ctrl+t goes on")
        await idle(pilot)
        if key == "command":
            await send(pilot, "/continue")
        else:
            await pilot.press(key)
        await sees(pilot, "the answer")
        await idle(pilot)
        assert "Half of" in shown(pilot)
        assert "stopped" not in shown(pilot)
        assert len(chat(pilot).query(ReplyTurn)) == 1
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    assert len(turns) == 2
    assert turns[1].finish_reason is FinishReason.STOP


@pytest.mark.parametrize("key", ["ctrl+t", "command"])
async def test_a_complete_reply_is_no_failure_when_it_shall_go_on(desk: Desk, key: str) -> None:
    session = desk.chat("q1", "A whole answer.")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "A whole answer.")
        if key == "command":
            await send(pilot, "/continue")
        else:
            await pilot.press(key)
        await sees(pilot, "This reply is complete")
        await idle(pilot)
        assert not pilot.app.notices[-1].is_error
        await pilot.press("escape")
        await until(pilot, lambda: "complete" not in shown(pilot), "no word of it")
        assert "✗" not in shown(pilot)


async def test_a_refusal_leaves_a_message_without_a_reply_as_it_was(desk: Desk) -> None:
    session = desk.chat("q1")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, UNANSWERED)
        await pilot.press("ctrl+t")
        await sees(pilot, "There is no reply at the end that could go on.")
        assert UNANSWERED in shown(pilot)


async def test_only_the_last_reply_says_that_ctrl_t_goes_on(desk: Desk) -> None:
    desk.say("Half of ", Gate())
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Tell me")
        await sees(pilot, "Half of")
        await pilot.press("escape")
        await sees(pilot, "■ stopped · ctrl+t goes on")
        await idle(pilot)
        await send(pilot, "Another")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert "■ stopped" in shown(pilot)
        assert "ctrl+t" not in shown(pilot)
        session = desk.engine.store.sessions()[0].id
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "stopped" not in shown(pilot), "the new chat")
        screen(pilot).open_session(session)
        await opened(pilot, session)
        await sees(pilot, "■ stopped")
        assert "ctrl+t" not in shown(pilot)


async def test_copying_a_message_and_a_chosen_code_block(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr("tui.terminal.clipboard.copy", lambda text: copied.append(text) or "")
    session = desk.chat("q1", CODE)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "x = 1")
        await select_turn(pilot, "c")
        await until(pilot, lambda: copied, "the message")
        assert copied == [CODE]
        assert pilot.app.clipboard == CODE
        await until(pilot, lambda: notices(pilot), "a word")
        assert notices(pilot) == ["Sent to the terminal's clipboard."]
        monkeypatch.setattr(
            "tui.terminal.clipboard.copy", lambda text: copied.append(text) or "xclip"
        )
        await pilot.press("k")
        await sees(pilot, "Copy which one?")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Copied." in notices(pilot), "a word")
        assert copied[-1] == "ls"


async def test_a_quotation_goes_below_what_is_written(desk: Desk) -> None:
    session = desk.chat("q1", "one\n\ntwo")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "two")
        await pilot.press(*"So:")
        await select_turn(pilot, "q")
        await until(pilot, lambda: "> one\n>\n> two\n\n" in area(pilot).text, "the quotation")
        assert area(pilot).text.startswith("So:\n\n")


@pytest.mark.slow
async def test_the_menu_and_the_palette_do_the_same(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        await select_turn(pilot, "enter")
        await sees(pilot, "Pin: the model always sees it")
        await pilot.press("down", "down", "enter")
        await sees(pilot, "▲ pinned")
        for _ in range(2):  # the keys that the menu names choose in it too
            was_pinned = "▲ pinned" in shown(pilot)
            await pilot.press("enter")
            await sees(pilot, "This turn")
            await pilot.press("p")
            await until(pilot, lambda was=was_pinned: ("▲ pinned" in shown(pilot)) is not was)
        names = [c.title for c in pilot.app.get_system_commands(screen(pilot))]
        assert any(name.startswith("Selected turn: Quote") for name in names)


async def test_recall_shows_one_quotation(desk: Desk) -> None:
    desk.chat("Where are the keys?", "In the blue box.", title="Keys")
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        await send(pilot, "/recallall blue box")
        await sees(pilot, "❝ Recalled")
        await sees(pilot, "In the blue box.")
        assert "no reply yet" not in shown(pilot)
        await send(pilot, "So where?")
        await sees(pilot, "Yes.")
        await idle(pilot)
        await send(pilot, "/recall nosuchword")
        await until(pilot, lambda: any("try others" in one for one in notices(pilot)), "a word")
    kinds = [turn.kind for turn in desk.engine.store.conversation(session).turns]
    assert kinds[2] is TurnKind.RECALL
    assert len(kinds) == 5


@pytest.mark.slow
async def test_another_terminals_turns_appear_and_a_branch_of_its_own_stays(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        _, turn = desk.store.add_user_turn(session, Draft("from elsewhere"), model="scripted")
        await sees(pilot, "from elsewhere")
        reply = desk.store.start_reply(session, turn.id, model="scripted")
        await sees(pilot, "being written in another window")
        desk.store.finish_reply(
            reply.id,
            text="answered there",
            token_ids=(),
            finish_reason=FinishReason.STOP,
            usage=None,
            timings=None,
        )
        await sees(pilot, "answered there")
        parent = pane(pilot).turns[1].id
        desk.store.add_user_turn(session, Draft("a branch"), parent=parent, model="scripted")
        await sees(pilot, "‹1/2›")
        assert "a branch" not in shown(pilot)
        await send(pilot, "And on")
        await sees(pilot, "Yes.")
        await idle(pilot)
    turns = desk.engine.store.conversation(session).turns
    assert [turn.text for turn in turns][2:5] == ["from elsewhere", "answered there", "And on"]


def test_code_blocks_and_quotations() -> None:
    assert code_blocks(CODE) == [("python", "x = 1"), ("sh", "ls")]
    assert code_blocks("~~~\na\n```\nb\n~~~\nand ```\nopen") == [("", "a\n```\nb")]
    assert code_blocks("```\nhalf") == [("", "half")]
    assert quoted("a\n\nb\n") == "> a\n>\n> b"


async def test_versions_are_marked_when_a_chat_is_opened(desk: Desk) -> None:
    session = desk.chat("q1", "a1", "q2", "a2", "q3", "a3")
    turns = desk.engine.store.conversation(session).turns
    desk.reply(session, turns[0], "another a1")
    desk.engine.store.choose(session, turns[-1].id)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a3")
        await sees(pilot, "‹1/2›")


async def test_a_turn_can_be_marked_before_it_has_composed_its_parts(desk: Desk) -> None:
    session = desk.chat("Hello", "Hi.")
    turns = desk.engine.store.conversation(session).turns
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        message, reply = UserTurn(turns[0], screen(pilot)._gallery), ReplyTurn(turns[1])
        pane(pilot).chat.mount(message, reply)
        for widget in (message, reply):
            widget.head.show_versions(2, 3)
        await until(pilot, lambda: shown(pilot).count("‹2/3›") == 2, "both are marked")


async def test_what_comes_for_a_reply_that_was_taken_off_ends_nothing(desk: Desk) -> None:
    """The app ends, or another chat is shown, while an event waits."""
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "a1")
        stored = desk.engine.store.conversation(session).turns[-1]
        live = ReplyTurn(stored, live=True)
        await pane(pilot).mount(live)
        await live.remove_children()
        live.grow("")
        live.grow("more")
        live.think("hm")
        live.show_progress("loading")
        live.end(stored)
        assert not live.live
