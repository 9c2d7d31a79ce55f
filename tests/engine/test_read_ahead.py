"""Reading ahead: the beginning of the prompt that will be sent, to a loaded model and no other."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from assistant.engine.engine import Engine
from assistant.values.conversation import Draft
from assistant.values.events import ModelStatus, Phase
from assistant.values.prompt import Prompt, Slot, common_start
from tests.engine.conftest import MakeEngine, picture
from tests.scripted_core import ScriptedCore
from tests.tiers import few_quick

WORDS = ["", "a", "What is it?", "  indented", "ß is a letter", "#1 and #2"]


def sent(engine: Engine, core: ScriptedCore, session_id: str | None, draft: Draft) -> Prompt:
    list(engine.send(session_id, draft))
    return core.prompts[-1]


@pytest.mark.parametrize("words", few_quick(WORDS, 3))
@pytest.mark.parametrize("typed", ["", "a", "Was"])
def test_what_is_read_is_the_beginning_of_what_is_sent(
    make: MakeEngine, words: str, typed: str
) -> None:
    engine, core = make(["It is red.", "And blue."])
    files = (picture("red"), picture("blue"))
    first = sent(engine, core, None, Draft("Hello", files[:1]))
    (session,) = engine.store.sessions()
    engine.read_ahead(session.id, Draft(typed, files[1:]))
    known, following = core.read[-1]
    assert known.tokens > first.tokens
    assert [slot.pixels_sha256 for slot in known.slots] == [f.pixels_sha256 for f in files]
    assert common_start(known, sent(engine, core, session.id, Draft(words, files[1:]))) == known
    assert 0 < following < 20


def test_pixels_come_from_the_draft_and_from_the_store(make: MakeEngine) -> None:
    engine, core = make()
    red, blue = picture("red"), picture("blue", (20, 10))
    list(engine.send(None, Draft("Hello", (red,))))
    (session,) = engine.store.sessions()
    core.pixels.clear()
    core.ahead_gate = threading.Event()
    core.ahead_gate.set()
    assert engine.read_ahead(session.id, Draft("", (blue,)))
    assert [(one.width, one.height) for one in core.pixels] == [(40, 30), (20, 10)]
    assert engine.store.draft(session.id) is None, "nothing is stored"


class Elsewhere(ScriptedCore):
    """A core whose state a test chooses."""

    state = ModelStatus(Phase.READY, "scripted", is_demo=False)

    def status(self) -> ModelStatus:
        return self.state


@pytest.mark.parametrize(
    "state",
    [
        replace(Elsewhere.state, is_server=True),
        replace(Elsewhere.state, phase=Phase.LOADING),
        replace(Elsewhere.state, phase=Phase.IDLE),
        replace(Elsewhere.state, phase=Phase.FAILED),
    ],
)
def test_only_a_model_that_is_loaded_here_reads(make: MakeEngine, state: ModelStatus) -> None:
    engine, core = make(core=Elsewhere)
    assert isinstance(core, Elsewhere)
    assert not engine.read_ahead(None, Draft("a", (picture("red"),)))
    assert len(core.read) == 1
    core.state = state
    assert not engine.read_ahead(None, Draft("a", (picture("red"),)))
    assert len(core.read) == 1


def test_prompts_share_what_is_the_same_from_the_start() -> None:
    slot, other = Slot("a", 1, 13), Slot("b", 1, 13)
    one = Prompt(((1, 2), slot, (3, 4)))
    assert common_start(one, one) == one
    assert common_start(one, Prompt(((1, 2), slot, (3, 5, 6)))) == Prompt(((1, 2), slot, (3,)))
    assert common_start(one, Prompt(((1, 2), other, (3, 4)))) == Prompt(((1, 2),))
    assert common_start(one, Prompt(((1, 2, 3), slot))) == Prompt(((1, 2),))
    assert common_start(one, Prompt((slot,))) == Prompt(())
