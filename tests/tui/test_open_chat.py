"""The state of the open chat, without a terminal."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from assistant.values.conversation import Draft, Parent, Picture, Role, Turn
from tui.chat.open_chat import OpenChat, Queued
from tui.widgets.turn_run import RunningTurn

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
CAT = Picture(1, "cat.png", "c" * 64, "d" * 64, "image/png", 64, 48)


def turn(turn_id: str, parent: str | None = None, *pictures: Picture) -> Turn:
    return Turn(turn_id, parent, Role.USER, turn_id, NOON, pictures=pictures)


@pytest.fixture
def chat() -> OpenChat:
    """A session with two turns is open."""
    chat = OpenChat()
    chat.switch_to("mine", Draft(""))
    chat.turns[:] = [turn("first", None, CAT), turn("second", "first")]
    return chat


def test_it_needs_no_terminal_library() -> None:
    program = "import sys, tui.chat.open_chat; print('textual' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_it_begins_with_a_new_chat_and_what_is_wanted() -> None:
    chat = OpenChat("wanted")
    assert (chat.session_id, chat.wanted) == (None, "wanted")
    assert (chat.turns, chat.last_turn_id, chat.pictures) == ([], None, 0)


def test_each_chat_keeps_its_draft(chat: OpenChat) -> None:
    assert chat.switch_to("other", Draft("typed in mine")) is None
    assert chat.left_in("mine") == Draft("typed in mine")
    assert chat.switch_to(None, Draft("typed in other")) == Draft("")
    assert chat.switch_to("mine", Draft("typed in new")) == Draft("typed in mine")
    assert chat.left_in("mine") == Draft("")
    assert chat.left_in("other") == Draft("typed in other")
    assert chat.left_in(None) == Draft("typed in new")


def test_a_session_that_is_opened_again_keeps_what_is_typed_where_it_is(chat: OpenChat) -> None:
    chat.give_back(Draft("left"), "mine")
    view = chat.view
    assert chat.switch_to("mine", None) is None
    assert chat.left_in("mine") == Draft("left")
    assert chat.view == view + 1


def test_what_was_not_stored_stands_above_what_was_typed_since(chat: OpenChat) -> None:
    chat.give_back(Draft("typed"), "other")
    chat.give_back(Draft("sent"), "other")
    assert chat.left_in("other") == Draft("sent\n\ntyped")


def test_the_model_is_that_of_the_open_session(chat: OpenChat) -> None:
    assert chat.other_model("demo") == ""
    chat.model = "demo"
    assert chat.other_model("demo") == ""
    assert chat.other_model("phi") == "demo"
    chat.switch_to("mine", None)
    assert chat.other_model("phi") == "demo"
    chat.switch_to("other", Draft(""))
    assert chat.other_model("phi") == ""


def test_a_new_chat_gets_its_id_only_in_its_own_view() -> None:
    chat = OpenChat()
    sent_from = chat.view
    chat.queue = [Queued(None, sent_from, Draft("waits")), Queued(None, sent_from + 1, Draft("no"))]
    chat.switch_to(None, Draft(""))
    assert not chat.got_id("mine", sent_from)
    assert chat.session_id is None
    assert [queued.session_id for queued in chat.queue] == ["mine", None]
    assert chat.got_id("other", chat.view)
    assert chat.session_id == "other"
    assert not chat.got_id("third", chat.view)
    assert chat.session_id == "other"


def test_only_what_was_typed_here_waits_here(chat: OpenChat) -> None:
    mine, other = Queued("mine", 1, Draft("mine")), Queued("other", 1, Draft("other"))
    new, newer = Queued(None, 2, Draft("new")), Queued(None, 3, Draft("newer"))
    chat.queue = [mine, other, new, newer, mine]
    assert chat.queued_here == [mine, mine]  # whatever the view: its id is known
    assert chat.queued_drafts() == {
        "mine": Draft("mine\n\nmine"),
        "other": Draft("other"),
        None: Draft("new\n\nnewer"),
    }
    chat.switch_to(None, Draft(""))
    assert chat.view == 2
    assert chat.queued_here == [new]
    assert chat.take_queue(RunningTurn("mine", 1)) == [mine, other, new, newer, mine]
    assert chat.queue == []


def test_a_message_that_is_edited_keeps_its_parent(chat: OpenChat) -> None:
    assert chat.parent_of(None) is Parent.HEAD
    assert chat.parent_of("first") is None
    assert chat.parent_of("second") == "first"


def test_a_selected_turn_is_one_of_the_branch(chat: OpenChat) -> None:
    assert chat.selected_turn is None
    chat.selected = "second"
    assert chat.selected_turn == chat.turns[1]
    chat.selected = "of another branch"
    assert chat.selected_turn is None
    assert (chat.last_turn_id, chat.pictures) == ("second", 1)


def test_chats_of_a_server_wait_for_themselves_alone() -> None:
    chat = OpenChat(at_once=lambda: True)
    mine, other = Queued("mine", 1, Draft("mine")), Queued("other", 1, Draft("other"))
    new, newer = Queued(None, 0, Draft("new")), Queued(None, 3, Draft("newer"))
    chat.runs = [RunningTurn("mine", 1), RunningTurn(None, 0)]
    assert chat.running is chat.runs[1], "the new chat that is open"
    chat.queue = [mine, new, other, newer]
    assert [chat.take_next(), chat.take_next(), chat.take_next()] == [other, newer, None]
    assert chat.take_queue(chat.runs[0]) == [mine]
    assert chat.queue == [new]
    chat.switch_to("mine", None)
    assert chat.running is chat.runs[0]
    chat.switch_to("other", None)
    assert chat.running is None


def test_what_was_read_before_a_change_is_stale(chat: OpenChat) -> None:
    assert not chat.is_stale("mine", 0, "second")
    assert not chat.is_stale("mine", 0, None)  # it is to be shown whatever is shown now
    assert chat.is_stale("other", 0, None)
    assert chat.is_stale("mine", 0, "first")
    chat.ended += 1
    assert chat.is_stale("mine", 0, "second")
    assert not chat.is_stale("mine", 1, "second")
    chat.runs = [RunningTurn("other", 1)]
    assert not chat.is_stale("mine", 1, "second")
    chat.runs = [RunningTurn("mine", 1)]
    assert chat.answers("mine")
    assert chat.is_stale("mine", 1, "second")
