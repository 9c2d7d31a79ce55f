"""The engine's API: turns are stored first, replies survive whatever happens to them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image

from assistant.values.conversation import Draft, FinishReason, Role
from assistant.values.errors import ModelError, PhichatError, PictureError
from assistant.values.events import (
    ContextPlanned,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    UserTurnStored,
)
from assistant.values.prompt import Slot
from storage.store import Store
from tests.byte_tokenizer import BYTES
from tests.engine.conftest import MakeEngine, picture, send
from tests.scripted_core import MissingCore


def test_one_turn_as_the_events_see_it(make: MakeEngine) -> None:
    engine, _ = make(["A stop sign."])
    events = send(engine, None, "What is it?", picture("red"))
    kinds = [type(event) for event in events]
    assert kinds[:4] == [UserTurnStored, ReplyStarted, ContextPlanned, Progressed]
    assert kinds[-1] is ReplyEnded
    assert "".join(e.text for e in events if isinstance(e, ReplyGrew)) == "A stop sign."
    ended = events[-1]
    assert isinstance(ended, ReplyEnded)
    assert ended.turn.finish_reason is FinishReason.STOP
    assert ended.turn.token_ids is not None
    conversation = engine.store.conversation(ended.session_id)
    assert [turn.role for turn in conversation.turns] == [Role.USER, Role.ASSISTANT]
    assert conversation.turns[1] == ended.turn


def test_the_user_turn_is_stored_before_anything_is_generated(make: MakeEngine) -> None:
    engine, core = make()
    stored = next(engine.send(None, Draft("hello")))
    assert isinstance(stored, UserTurnStored)
    assert core.prompts == []
    assert engine.store.conversation(stored.session_id).turns[0].text == "hello"


def test_a_second_picture_gets_the_second_number_and_slot(make: MakeEngine) -> None:
    engine, core = make(["One.", "Two."])
    (first, *_) = send(engine, None, "a", picture("red"))
    assert isinstance(first, UserTurnStored)
    send(engine, first.session_id, "b", picture("blue"))
    assert [p.number for p in engine.store.conversation(first.session_id).pictures] == [1, 2]
    assert [type(part) for part in core.prompts[1].parts] == [tuple, Slot, tuple, Slot, tuple]
    red, _, blue = (core.pixels[i].rgb[:3] for i in (0, 1, 2))
    assert (red, blue) == (b"\xff\x00\x00", b"\x00\x00\xff")


def test_the_history_is_replayed_and_grows_at_its_end(make: MakeEngine) -> None:
    engine, core = make(["Hi."])
    (first, *_) = send(engine, None, "hello")
    assert isinstance(first, UserTurnStored)
    send(engine, first.session_id, "again")
    (one,), (two,) = core.prompts[0].parts, core.prompts[1].parts
    assert isinstance(one, tuple)
    assert isinstance(two, tuple)
    assert two[: len(one)] == one, "the cached prefix survives a follow-up"
    said = bytes(i - BYTES for i in two if BYTES <= i < BYTES + 256).decode()
    assert said == "\nhello\nHi.\n\nagain\n"


def test_an_error_keeps_what_was_written_and_can_be_tried_again(make: MakeEngine) -> None:
    engine, _ = make([("Half a re", ModelError("The engine ended.", code="crashed")), "Whole."])
    events = send(engine, None, "x")
    failed = events[-1]
    assert isinstance(failed, ReplyFailed)
    assert (failed.code, failed.message) == ("crashed", "The engine ended.")
    assert failed.turn is not None
    assert (failed.turn.text, failed.turn.finish_reason) == ("Half a re", FinishReason.ERROR)
    again = list(engine.resume(failed.session_id))
    assert isinstance(again[-1], ReplyEnded)
    turns = engine.store.conversation(failed.session_id).turns
    assert [turn.text for turn in turns] == ["x", "Whole."]
    assert len(engine.store.all_turns(failed.session_id)) == 3, "the half reply is a sibling"
    with pytest.raises(PhichatError, match="answer already"):
        list(engine.resume(failed.session_id))


def test_regenerate_keeps_the_old_reply(make: MakeEngine) -> None:
    engine, core = make(["First.", "Second."])
    (stored, *_) = send(engine, None, "x")
    assert isinstance(stored, UserTurnStored)
    list(engine.regenerate(stored.session_id))
    assert core.prompts[0] == core.prompts[1]
    assert engine.store.conversation(stored.session_id).turns[-1].text == "Second."
    texts = {turn.text for turn in engine.store.all_turns(stored.session_id)}
    assert texts == {"x", "First.", "Second."}


def test_stop_keeps_the_half_reply(make: MakeEngine) -> None:
    gate = threading.Semaphore(4)
    engine, _ = make(["A long reply."], gate=gate)
    text = ""
    for event in engine.send(None, Draft("x")):
        if isinstance(event, ReplyGrew):
            text += event.text
            if len(text) == 3:
                engine.stop()
    assert isinstance(event, ReplyEnded)
    assert event.turn.finish_reason is FinishReason.STOPPED
    assert event.turn.text == text
    assert "A long reply.".startswith(text)


def test_a_front_end_that_goes_away_leaves_a_finished_reply(make: MakeEngine) -> None:
    engine, _ = make(["A long reply."])
    events = engine.send(None, Draft("x"))
    for event in events:
        if isinstance(event, ReplyGrew):
            break
    events.close()  # type: ignore[attr-defined]
    session = engine.store.latest_session()
    assert session is not None
    reply = engine.store.conversation(session).turns[-1]
    assert reply.finish_reason is FinishReason.STOPPED
    assert reply.text == event.text  # type: ignore[union-attr]


def test_nothing_is_stored_of_what_can_not_be_sent(make: MakeEngine) -> None:
    engine, _ = make(context=400, max_new_tokens=64)
    with pytest.raises(PhichatError, match="tokens more than the model can hold") as raised:
        send(engine, None, "x", picture("red"), picture("blue"))
    assert raised.value.code == "too_long"
    missing, _ = make(core=MissingCore)
    with pytest.raises(ModelError):
        send(missing, None, "x")
    assert engine.store.sessions() == []


def test_old_turns_leave_the_window_but_not_the_session(make: MakeEngine) -> None:
    engine, core = make(["A reply of some length."], context=1000, max_new_tokens=50)
    (stored, *_) = send(engine, None, "the first of all", picture("red"))
    assert isinstance(stored, UserTurnStored)
    send(engine, stored.session_id, "another", picture("blue"))
    for number in range(11):
        send(engine, stored.session_id, f"question {number}")
    assert all(prompt.tokens + 50 <= 1000 for prompt in core.prompts)
    (slot,) = core.prompts[-1].slots
    assert slot.pixels_sha256 == picture("blue").pixels_sha256, "the picture that is talked about"
    preview = engine.prompts.preview(stored.session_id)
    assert preview.context.left_out[0].turn.text == "the first of all"
    assert len(engine.store.conversation(stored.session_id).turns) == 26


def test_another_models_ids_are_not_replayed(make: MakeEngine, tmp_path: Path) -> None:
    engine, core = make(["Fine."])
    store = Store.open(tmp_path / "phichat.db")
    session, asked = store.add_user_turn(None, Draft("x"), model="another")
    reply = store.start_reply(session, asked.id, model="another")
    store.finish_reply(
        reply.id,
        text="Hey",
        token_ids=(31999, 31998),
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    store.close()
    send(engine, session, "y")
    (run,) = core.prompts[0].parts
    assert isinstance(run, tuple)
    assert 31999 not in run
    assert bytes(i - BYTES for i in run if BYTES <= i < BYTES + 256).find(b"Hey") > 0


def test_a_picture_too_thin_to_be_seen_is_refused_when_it_is_attached(
    make: MakeEngine, tmp_path: Path
) -> None:
    engine, _ = make()
    Image.new("RGB", (1, 6000)).save(tmp_path / "line.png")
    with pytest.raises(PictureError, match="too thin"):
        engine.pictures.open(str(tmp_path / "line.png"))


def test_preview_stores_nothing(make: MakeEngine) -> None:
    engine, _ = make()
    preview = engine.prompts.preview(None, Draft("What?", (picture("red"),)))
    assert preview.prompt.picture_tokens == 313
    assert engine.store.sessions() == []
