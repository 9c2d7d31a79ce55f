"""Memory: earlier turns come back when the user asks for them, quoted or summed up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from assistant.engine.engine import Engine
from assistant.values.conversation import FinishReason, Role, Summary, TurnKind
from assistant.values.errors import PhichatError
from assistant.values.events import Event, ReplyEnded, SummaryStored
from assistant.values.sampling import Parameters
from tests.engine.conftest import MakeEngine, new_session, picture, said, send
from tests.scripted_core import ScriptedCore

# Recall


def long_session(engine: Engine, first: str, *, count: int = 24) -> str:
    """A session whose first turns no longer fit into 1,500 tokens."""
    session = new_session(engine, first, picture("red"))
    send(engine, session, "another one", picture("blue"))
    say(engine, session, count)
    return session


def test_what_no_longer_fits_is_recalled(make: MakeEngine) -> None:
    engine, core = make(["A reply of some length."], context=1500, max_new_tokens=50)
    session = long_session(engine, "The zebra is called Ada.")
    assert "zebra" not in said(engine.prompts.preview(session).prompt)
    quoted = engine.memory.recall(session, "zebra")
    assert quoted.kind is TurnKind.RECALL
    assert quoted.role is Role.USER
    title = engine.store.conversation(session).title
    for words in ("about “zebra”", f"“{title}”", "I said:", "[picture 1: red.png]", "called Ada."):
        assert words in quoted.text
    assert engine.store.conversation(session).turns[-1] == quoted
    send(engine, session, "What is it called?")
    prompt = said(core.prompts[-1])
    assert prompt.index("called Ada.") < prompt.index("What is it called?")
    assert prompt.count("I said:") == 1
    assert [turn.kind for turn in engine.store.conversation(session).turns[-3:]] == [
        TurnKind.RECALL, TurnKind.MESSAGE, TurnKind.MESSAGE,
    ]  # fmt: skip
    list(engine.regenerate(session))
    assert core.prompts[-1] == core.prompts[-2], "it is the question that is answered again"


def test_other_sessions_are_looked_through_when_asked(make: MakeEngine) -> None:
    engine, _ = make(["The giraffe is yellow."])
    new_session(engine, "And the giraffe?")
    here = new_session(engine, "hello")
    with pytest.raises(PhichatError, match="these words in this chat") as raised:
        engine.memory.recall(here, "giraffe yellow")
    assert raised.value.code == "nothing_found"
    quoted = engine.memory.recall(here, "giraffe yellow", everywhere=True)
    assert "“And the giraffe?”" in quoted.text
    assert "you answered:\nThe giraffe is yellow." in quoted.text


def test_nothing_is_inserted_for_what_is_seen_or_not_there(make: MakeEngine) -> None:
    engine, _ = make()
    session = new_session(engine, "the zebra")
    before = engine.store.conversation(session).turns
    for words in ("zebra", "okapi", "", '"', "*"):
        with pytest.raises(PhichatError, match="Nothing that the model does not see already"):
            engine.memory.recall(session, words)
    assert engine.store.conversation(session).turns == before


def test_a_quotation_is_bounded(make: MakeEngine) -> None:
    engine, _ = make(["Yes."])
    for number in range(8):
        new_session(engine, f"zebra {number} " + "so much to say about it " * 200)
    here = new_session(engine, "hello")
    core_room = engine.prompts.context(here).budget
    assert core_room > 100_000
    small, _ = make(context=4096)
    quoted = small.memory.recall(here, "zebra", everywhere=True)
    tokens = small.model.layout.counter.message(quoted.text)
    assert tokens <= small.prompts.context(here).budget // 4
    assert quoted.text.count("I said:") >= 2
    assert "…" in quoted.text


def test_what_a_person_took_out_and_quotations_are_not_quoted(make: MakeEngine) -> None:
    engine, _ = make(["A reply of some length."], context=1500, max_new_tokens=50)
    session = long_session(engine, "The zebra is called Ada.")
    engine.memory.recall(session, "zebra")
    other = new_session(engine, "hello")
    assert engine.memory.recall(other, "zebra", everywhere=True).text.count("I said:") == 1
    engine.store.set_turn_excluded(engine.store.conversation(session).turns[0].id, True)
    with pytest.raises(PhichatError, match="try others"):
        engine.memory.recall(new_session(engine, "again"), "zebra", everywhere=True)


def test_what_branches_and_forks_repeat_is_quoted_once(make: MakeEngine) -> None:
    engine, _ = make(["It is a zebra."])
    session = new_session(engine, "What is it?", picture("red"))
    list(engine.regenerate(session))
    engine.store.fork(session)
    new_session(engine, "What is it?", picture("blue"))
    text = engine.memory.recall(new_session(engine, "hello"), "zebra", everywhere=True).text
    assert text.count("you answered:\nIt is a zebra.") == 1
    text = engine.memory.recall(new_session(engine, "hello"), "what is it", everywhere=True).text
    assert text.count("I said:") == 2, "of two pictures"
    assert "red.png" in text
    assert "blue.png" in text


# The rolling summary


def summary_of(events: Iterator[Event]) -> Summary | None:
    stored = [event.summary for event in events if isinstance(event, SummaryStored)]
    return stored[-1] if stored else None


def say(engine: Engine, session: str, count: int) -> None:
    for number in range(count):
        send(engine, session, f"question {number} about nothing at all")


class Summing(ScriptedCore):
    """Answers; and sums up in numbered words when it is asked to."""

    def generate(self, prompt, sampling, pixels):  # type: ignore[no-untyped-def]
        is_summary = "Sum up" in said(prompt)
        self._replies = [f"Summary {len(self.prompts)}." if is_summary else "Some reply."]
        return super().generate(prompt, sampling, pixels)


@pytest.mark.slow
def test_turns_that_went_are_summed_up_once_and_then_extended(make: MakeEngine) -> None:
    engine, core = make(core=Summing, context=700, max_new_tokens=50, summaries=True)
    session = new_session(engine, "The zebra is called Ada.")
    assert not engine.memory.is_summary_due(session)
    assert summary_of(engine.memory.summarise(session)) is None
    say(engine, session, 14)
    assert engine.memory.is_summary_due(session)
    before = len(core.prompts)
    while engine.memory.is_summary_due(session):  # one prompt does not hold all that went
        first = summary_of(engine.memory.summarise(session))
    assert first is not None
    asked = said(core.prompts[before])
    assert "User: The zebra is called Ada." in asked
    assert "Assistant: Some reply." in asked
    evicted = [one.turn for one in engine.prompts.context(session).left_out]
    assert first == engine.store.conversation(session).summary
    assert first.upto == evicted[-1].id

    say(engine, session, 1)
    prompt = said(core.prompts[-1])
    assert f"in short:\n{first.text}" in prompt
    assert prompt.index(first.text) < prompt.index("question")
    assert (
        core.prompts[-1].tokens == engine.store.conversation(session).turns[-1].usage.prompt_tokens
    )  # type: ignore[union-attr]

    say(engine, session, 12)
    second = summary_of(engine.memory.summarise(session))
    assert second is not None
    assert f"Summary so far: {first.text}" in said(core.prompts[-1])
    assert "zebra" not in said(core.prompts[-1]), "what was summed up is not summed up again"
    assert second.upto != first.upto


@pytest.mark.slow
def test_a_persons_words_stay_and_get_a_paragraph_more(make: MakeEngine) -> None:
    engine, _ = make(core=Summing, context=700, max_new_tokens=50, summaries=True)
    session = new_session(engine, "The zebra is called Ada.")
    with pytest.raises(PhichatError, match="nothing to sum up"):
        engine.memory.set_summary(session, "Mine.")
    say(engine, session, 14)
    by_default, _ = make(context=700, max_new_tokens=50)
    assert not by_default.memory.is_summary_due(session)
    mine = engine.memory.set_summary(session, " Ada is a zebra. ")
    assert mine == Summary("Ada is a zebra.", mine.upto, edited=True)  # type: ignore[union-attr]
    assert summary_of(engine.memory.summarise(session)) is None, "it tells of all that went"
    say(engine, session, 12)
    more = summary_of(engine.memory.summarise(session))
    assert more is not None
    assert more.edited
    assert more.text.startswith("Ada is a zebra.\n\nSummary ")
    with pytest.raises(PhichatError, match="shorten it"):
        engine.memory.set_summary(session, "long " * 300)
    assert engine.memory.set_summary(session, "") is None
    assert engine.store.conversation(session).summary is None


def test_a_stopped_summary_is_not_stored(make: MakeEngine) -> None:
    engine, core = make(core=Summing, context=700, max_new_tokens=50)
    session = new_session(engine, "a")
    say(engine, session, 14)
    core._gate = threading.Semaphore(3)
    events = engine.memory.summarise(session)
    next(events)
    engine.stop()
    core._stop.set()
    assert summary_of(events) is None
    assert engine.store.conversation(session).summary is None


def test_what_a_person_writes_meanwhile_is_kept(make: MakeEngine) -> None:
    engine, _ = make(core=Summing, context=700, max_new_tokens=50)
    session = new_session(engine, "a")
    say(engine, session, 14)
    events = engine.memory.summarise(session)
    next(events)
    mine = engine.memory.set_summary(session, "Mine.")
    assert summary_of(events) is None
    assert engine.store.conversation(session).summary == mine


@pytest.mark.slow
def test_a_summary_of_another_branch_is_not_shown(make: MakeEngine) -> None:
    engine, core = make(core=Summing, context=700, max_new_tokens=50)
    session = new_session(engine, "a")
    say(engine, session, 14)
    turns = engine.store.conversation(session).turns
    engine.memory.set_summary(session, "Mine.")
    list(engine.edit(session, turns[0].id, engine.store.draft_of(session, turns[0].id)))
    say(engine, session, 14)
    assert engine.prompts.context(session).left_out
    assert "Mine." not in said(core.prompts[-1])
    with pytest.raises(PhichatError, match="another branch"):
        list(engine.memory.summarise(session))


@pytest.mark.slow
def test_every_prompt_fits_with_a_summary(make: MakeEngine) -> None:
    engine, core = make(core=Summing, context=600, max_new_tokens=60, summaries=True)
    session = new_session(engine, "a")
    for _ in range(12):
        say(engine, session, 2)
        list(engine.memory.summarise(session))
    engine.store.set_parameters(session, Parameters(max_new_tokens=100))
    say(engine, session, 2)
    assert engine.store.conversation(session).summary is not None
    summaries = [one for one in core.prompts if "Sum up" in said(one)]
    assert summaries
    for prompt, sampling in zip(core.prompts, core.samplings, strict=True):
        assert prompt.tokens + sampling.max_new_tokens <= 600


@pytest.mark.slow
def test_recall_and_summary_leave_replies_alone(make: MakeEngine) -> None:
    engine, _ = make(core=Summing, context=700, max_new_tokens=50)
    session = new_session(engine, "a")
    say(engine, session, 14)
    before = engine.store.all_turns(session)
    list(engine.memory.summarise(session))
    assert engine.store.all_turns(session) == before
    (*_, last) = send(engine, session, "b")
    assert isinstance(last, ReplyEnded)
    assert last.turn.finish_reason is FinishReason.STOP
