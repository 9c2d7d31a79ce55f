"""Replies that go on, stop early, branch, or find less room than was promised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.engine.engine import Engine
from assistant.values.conversation import Draft, FinishReason, Role, Turn
from assistant.values.errors import ModelError, PhichatError
from assistant.values.events import (
    ContextPlanned,
    Event,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    UserTurnStored,
)
from assistant.values.generation import Pixels
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Parameters, Sampling
from storage.store import Store
from tests.byte_tokenizer import BYTES
from tests.engine.conftest import MakeEngine, new_session, picture, said, send
from tests.scripted_core import ScriptedCore


def ended(events: list[Event]) -> Turn:
    (last,) = (event for event in events if isinstance(event, ReplyEnded))
    assert events[-1] is last
    return last.turn


def shown(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReplyGrew))


# Going on


def test_a_half_reply_goes_on_as_the_same_turn(make: MakeEngine) -> None:
    engine, core = make(["One two", " three."], max_new_tokens=7)
    session = new_session(engine, "count")
    half = engine.store.conversation(session).turns[-1]
    assert (half.text, half.finish_reason) == ("One tw", FinishReason.LENGTH)
    events = list(engine.continue_reply(session))
    started = events[0]
    assert isinstance(started, ReplyStarted)
    assert (started.turn.id, started.turn.text) == (half.id, half.text)
    whole = ended(events)
    assert whole.id == half.id
    assert whole.token_ids is not None
    assert half.token_ids is not None
    assert whole.token_ids[: len(half.token_ids)] == half.token_ids
    assert whole.text == half.text + shown(events)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == len(whole.token_ids)
    assert engine.store.conversation(session).turns[-1] == whole
    assert len(engine.store.all_turns(session)) == 2
    (first,), (second,) = core.prompts[0].parts, core.prompts[1].parts
    assert second == (*first, *half.token_ids), "the model goes on after its own ids"


def test_a_stopped_and_an_interrupted_reply_go_on(make: MakeEngine, tmp_path: Path) -> None:
    engine, _ = make(["Hello there."], gate=threading.Semaphore(4))
    for event in engine.send(None, Draft("x")):
        if isinstance(event, ReplyGrew):
            engine.stop()
    assert isinstance(event, ReplyEnded)
    assert event.turn.finish_reason is FinishReason.STOPPED
    again, _ = make(["and so on."])
    whole = ended(list(again.continue_reply(event.session_id)))
    assert whole.finish_reason is FinishReason.STOP
    assert whole.text == f"{event.turn.text} and so on."


@pytest.mark.parametrize("text", ["", "x"])
def test_only_a_half_reply_can_be_continued(make: MakeEngine, text: str) -> None:
    engine, _ = make(["Done."])
    session = new_session(engine, "x")
    with pytest.raises(PhichatError, match="complete"):
        list(engine.continue_reply(session))
    store = engine.store
    _, asked = store.add_user_turn(session, Draft("y"))
    with pytest.raises(PhichatError, match="no reply"):
        list(engine.continue_reply(session))
    reply = store.start_reply(session, asked.id, model="another")
    with pytest.raises(PhichatError, match="still being written"):
        list(engine.continue_reply(session))
    store.finish_reply(
        reply.id, text=text, token_ids=(5,), finish_reason=FinishReason.LENGTH,
        usage=None, timings=None,
    )  # fmt: skip
    with pytest.raises(PhichatError, match="Another model"):
        list(engine.continue_reply(session))


def test_a_reply_that_fails_while_it_goes_on_keeps_all_of_it(make: MakeEngine) -> None:
    engine, _ = make(["Half", ("m", ModelError("It ended.", code="crashed"))], max_new_tokens=4)
    session = new_session(engine, "x")
    failed = list(engine.continue_reply(session))[-1]
    assert isinstance(failed, ReplyFailed)
    assert failed.turn is not None
    assert (failed.turn.text, failed.turn.finish_reason) == ("Hal m", FinishReason.ERROR)
    assert engine.store.conversation(session).turns[-1] == failed.turn


# Stop strings


def stopping(engine: Engine, session: str | None, *stop: str) -> list[Event]:
    return list(engine.send(session, Draft("x"), Sampling(stop=stop)))


def test_a_stop_string_cuts_the_reply_across_tokens(make: MakeEngine) -> None:
    engine, core = make(["A red circle. User: and what"])
    events = stopping(engine, None, "User:", "zebra")
    turn = ended(events)
    assert turn.text == shown(events) == "A red circle. "
    assert turn.finish_reason is FinishReason.STOP
    assert turn.token_ids is not None
    vocabulary = core._vocabulary
    assert vocabulary.decode(turn.token_ids) == turn.text
    assert engine.store.conversation(engine.store.latest_session() or "").turns[-1] == turn


def test_the_core_is_stopped_at_a_stop_string(make: MakeEngine) -> None:
    class Counting(ScriptedCore):
        stops = 0

        def stop(self) -> None:
            self.stops += 1
            super().stop()

    engine, core = make(["ab" + "c" * 500], core=Counting)
    turn = ended(stopping(engine, None, "b"))
    assert turn.text == "a"
    assert core.stops >= 1  # type: ignore[attr-defined]
    assert turn.usage is not None
    assert turn.usage.completion_tokens < 5


def test_the_beginning_of_a_stop_string_is_text_when_nothing_follows(make: MakeEngine) -> None:
    engine, _ = make(["It says Us"])
    events = stopping(engine, None, "User:")
    assert ended(events).text == shown(events) == "It says Us"


# Branches


@pytest.mark.parametrize(("rest", "text"), [("er: x", "Hi. "), ("ed", "Hi. Us ed")])
def test_a_stop_string_is_found_across_a_half_reply(make: MakeEngine, rest: str, text: str) -> None:
    engine, core = make(["Hi. Us er: x", rest], max_new_tokens=7)
    session = new_session(engine, "x")
    engine.store.set_parameters(session, Parameters(stop=("Us er:",)))
    half = engine.store.conversation(session).turns[-1]
    assert (half.text, half.finish_reason) == ("Hi. Us", FinishReason.LENGTH)
    events = list(engine.continue_reply(session))
    assert isinstance(events[0], ReplyStarted)
    assert events[0].turn.text == "Hi. ", "what may be half a stop string is taken back"
    turn = ended(events)
    assert turn.text == events[0].turn.text + shown(events) == text
    assert turn.finish_reason is FinishReason.STOP
    assert turn.token_ids is not None
    assert core._vocabulary.decode(turn.token_ids) == text


def test_an_edited_message_is_a_sibling_with_the_same_pictures(make: MakeEngine) -> None:
    engine, core = make(["One.", "Two.", "Three."])
    session = new_session(engine, "what is it", picture("red"))
    send(engine, session, "and now?")
    first = engine.store.conversation(session).turns[0]
    draft = engine.store.draft_of(session, first.id)
    assert [file.sha256 for file in draft.pictures] == [p.sha256 for p in first.pictures]
    list(engine.edit(session, first.id, replace(draft, text="what colour is it")))
    turns = engine.store.conversation(session).turns
    assert [turn.text for turn in turns] == ["what colour is it", "Three."]
    assert turns[0].pictures == first.pictures, "it is picture 1 still"
    assert [turn.text for turn in engine.store.siblings(turns[0].id)] == [
        "what is it",
        "what colour is it",
    ]
    assert core.prompts[2].slots == core.prompts[0].slots
    back = engine.store.choose(session, first.id)
    assert [turn.text for turn in back.turns] == ["what is it", "One.", "and now?", "Two."]
    assert engine.store.conversation(session) == back
    with pytest.raises(PhichatError, match="message of yours"):
        list(engine.edit(session, back.turns[1].id, Draft("x")))


def test_any_reply_can_be_generated_again(make: MakeEngine) -> None:
    engine, core = make(["One.", "Two.", "Other."])
    session = new_session(engine, "a")
    send(engine, session, "b")
    reply = engine.store.conversation(session).turns[1]
    list(engine.regenerate(session, turn_id=reply.id))
    assert [turn.text for turn in engine.store.conversation(session).turns] == ["a", "Other."]
    assert core.prompts[2] == core.prompts[0]
    assert [turn.text for turn in engine.store.siblings(reply.id)] == ["One.", "Other."]


def test_two_terminals_that_answer_the_same_turn_get_a_branch_each(make: MakeEngine) -> None:
    engine, _ = make(["One.", "Two."])
    other, core = make(["Three."])
    session = new_session(engine, "a")
    seen = engine.store.conversation(session).turns[-1].id
    list(engine.send(session, Draft("b"), parent=seen))
    list(other.send(session, Draft("c"), parent=seen))
    assert "b" not in said(core.prompts[0])
    texts = {turn.text: turn for turn in engine.store.all_turns(session)}
    assert texts["b"].parent == texts["c"].parent == seen
    assert len(texts) == 6


def test_a_prompt_is_rendered_once_a_send(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assistant.window.layout import Layout

    engine, core = make()
    session = new_session(engine, "a")
    made = []
    whole = Layout.preview
    monkeypatch.setattr(Layout, "preview", lambda *args: made.append(args) or whole(*args))
    send(engine, session, "b", picture("red"))
    assert len(made) == 1
    assert core.prompts[-1].slots


def test_a_quicker_terminal_is_seen_by_the_slower_one(make: MakeEngine) -> None:
    """A message without a parent follows the turn that is the end by then; the model sees it."""
    engine, core = make(["One.", "Two.", "Three."])
    session = new_session(engine, "a")
    events = engine.send(session, Draft("slow"))
    store, add = engine.store, engine.store.add_user_turn

    def late(*args: object, **options: object) -> tuple[str, Turn]:
        store.add_user_turn = add  # type: ignore[method-assign]
        send(engine, session, "quick")
        return add(*args, **options)  # type: ignore[arg-type]

    store.add_user_turn = late  # type: ignore[method-assign]
    list(events)
    assert "quick" in said(core.prompts[-1])


# Parameters


def test_a_sessions_own_parameters_go_before_the_settings(make: MakeEngine) -> None:
    engine, core = make(max_new_tokens=99)
    session = new_session(engine, "a")
    engine.store.set_parameters(session, Parameters(temperature=0.5, stop=("Z",), min_p=0.1))
    send(engine, session, "b")
    assert core.samplings[0] == Sampling(max_new_tokens=99)
    assert core.samplings[1] == Sampling(temperature=0.5, stop=("Z",), min_p=0.1, max_new_tokens=99)
    reply = engine.store.conversation(session).turns[-1]
    assert reply.parameters is not None
    own = reply.parameters
    assert (own.get("temperature"), own.get("max_new_tokens")) == (0.5, 99)


def test_a_sessions_own_system_message_is_used(make: MakeEngine) -> None:
    engine, core = make()
    session = new_session(engine, "a")
    engine.store.set_system(session, "Be brief.")
    send(engine, session, "b")
    assert said(core.prompts[1]).startswith(" \nBe brief. \n \na")


# Titles


def test_a_chat_without_words_is_called_what_the_model_saw(make: MakeEngine) -> None:
    engine, _ = make(["A red circle on white. It is round."])
    session = new_session(engine, "", picture("red"))
    assert engine.store.conversation(session).title == "A red circle on white"


def test_a_persons_title_stays(make: MakeEngine) -> None:
    engine, _ = make(["A red circle."])
    events = engine.send(None, Draft("", (picture("red"),)))
    for event in events:
        if isinstance(event, ReplyStarted):
            engine.store.rename(event.session_id, "Mine")
    assert isinstance(event, ReplyEnded)
    assert engine.store.conversation(event.session_id).title == "Mine"
    with_words = new_session(engine, "What is it?", picture("red"))
    assert engine.store.conversation(with_words).title == "What is it?"


# Less room than was promised


class ShrinkingCore(ScriptedCore):
    """Finds out while it loads that it holds 4,096 tokens only."""

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        if self.context != 4096:
            self.context = 4096
            raise ModelError("The model holds 4096 tokens.", code="context")
        yield from super().generate(prompt, sampling, pixels)


def test_a_core_that_holds_less_than_it_said_is_asked_once_more(make: MakeEngine) -> None:
    engine, core = make(["Fine."], core=ShrinkingCore, num_crops=16)
    events = send(engine, None, "x", picture("red", (640, 480)))
    planned = [event.context for event in events if isinstance(event, ContextPlanned)]
    assert [context.limit for context in planned] == [131072, 4096]
    assert [context.pictures[0].layout.detail for context in planned] == [16, 4]
    assert ended(events).text == "Fine."
    (stored,) = engine.store.conversation(ended_session(events)).pictures
    assert stored.num_crops == 4, "later turns show it as it was shown"
    assert core.prompts[-1].tokens <= 4096 - 1024


def test_what_no_longer_fits_at_all_fails_plainly(make: MakeEngine) -> None:
    engine, _ = make(core=ShrinkingCore)
    events = send(engine, None, "x" * 5000)
    failed = events[-1]
    assert isinstance(failed, ReplyFailed)
    assert failed.code == "too_long"
    assert "shorten the text" in failed.message


def ended_session(events: list[Event]) -> str:
    (stored,) = (event for event in events if isinstance(event, UserTurnStored))
    return stored.session_id


# Drafts


def test_a_sent_draft_is_dropped_when_asked(make: MakeEngine) -> None:
    engine, _ = make()
    engine.store.save_draft(None, Draft("hello"))
    session = new_session(engine, "from elsewhere")
    assert engine.store.draft(None) == Draft("hello")
    list(engine.send(None, Draft("hello"), drop_draft=True))
    assert engine.store.draft(None) is None
    assert engine.store.conversation(session).turns[0].role is Role.USER


def test_a_reply_cut_in_a_character_goes_on_with_it(make: MakeEngine, tmp_path: Path) -> None:
    """The half shows a replacement; the whole shows the character that its ids spell."""
    engine, core = make(["é"], max_new_tokens=2)
    session = new_session(engine, "x")
    half = engine.store.conversation(session).turns[-1]
    assert half.token_ids == (BYTES + 256, BYTES + 0xC3)
    assert half.text == "\ufffd"
    store = Store.open(tmp_path / "phichat.db")
    core._vocabulary.encode = lambda text: (BYTES + 0xA9,)  # type: ignore[method-assign]
    whole = ended(list(engine.continue_reply(session)))
    assert whole.text == "é"
    assert store.conversation(session).turns[-1] == whole
    store.close()


def test_a_reopened_reply_is_in_the_hands_of_its_writer(make: MakeEngine) -> None:
    engine, _ = make(["Half", "Whole."], max_new_tokens=3)
    session = new_session(engine, "x")
    half = engine.store.conversation(session).turns[-1]
    store = engine.store
    open_again = store.reopen_reply(half.id)
    assert (open_again.text, open_again.token_ids) == (half.text, half.token_ids)
    assert open_again.finish_reason is None
    with pytest.raises(PhichatError, match="still being written"):
        store.reopen_reply(half.id)
    store.checkpoint_reply(half.id, "Half and", (1, 2, 3, 4))
    assert store.recover() == 0, "its writer lives"
    done = store.finish_reply(
        half.id, text="Half and more", token_ids=(1, 2, 3, 4, 5), finish_reason=FinishReason.STOP,
        usage=None, timings=None,
    )  # fmt: skip
    assert engine.store.conversation(session).turns[-1] == done
    with pytest.raises(PhichatError, match="can't go on"):
        store.reopen_reply(half.id)


def test_a_reply_that_breaks_off_as_the_user_leaves_was_stopped(make: MakeEngine) -> None:
    """A worker that does not stop in time is left, which looks like its crash."""

    class Deaf(ScriptedCore):
        def stop(self) -> None:
            pass

    engine, _ = make([("Half", ModelError("It is gone.", code="crashed"))], core=Deaf)
    events = engine.send(None, Draft("x"))
    session = next(one.session_id for one in events if isinstance(one, UserTurnStored))
    engine.leave()
    list(events)
    assert engine.store.conversation(session).turns[-1].finish_reason is FinishReason.STOPPED
