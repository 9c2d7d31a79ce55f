"""Answers that begin while the database is being opened, and stay what they were."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason
from assistant.values.errors import ModelError, StorageError
from assistant.values.events import Event, ReplyEnded, ReplyFailed, UserTurnStored
from assistant.values.generation import Pixels
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from storage.store import Store
from tests.engine.conftest import picture, said
from tests.scripted_core import ScriptedCore

LONG_S = 60.0


class Heard(ScriptedCore):
    """One that sets an event when it is asked, and another when it has ended."""

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        try:
            for event in super().generate(prompt, sampling, pixels):
                asked.set()
                yield event
        finally:
            ended.set()


asked = threading.Event()
ended = threading.Event()


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "phichat.db"))


@pytest.fixture
def begin() -> Iterator[Callable[..., Engine]]:
    """Make an engine whose database is opened by ``opened``, on first use."""
    engines = []
    asked.clear()
    ended.clear()

    def make(opened: Callable[[], Store], core: ScriptedCore) -> Engine:
        engines.append(Engine(opened, Model(load_settings({}), core)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def answered(events: list[Event]) -> tuple[str, str]:
    """Return the session and the reply."""
    stored, last = events[0], events[-1]
    assert isinstance(stored, UserTurnStored)
    assert isinstance(last, ReplyEnded)
    return stored.session_id, last.turn.text


def test_the_model_is_asked_before_the_database_is_open(
    begin: Callable[..., Engine], random_folder: Path, database: Path
) -> None:
    def opened() -> Store:
        assert asked.wait(LONG_S), "the model waits for the database"
        return Store.open(database)

    core = Heard(random_folder, ["It is red.", "Yes."])
    engine = begin(opened, core)
    session, text = answered(list(engine.send(None, Draft("What is it?", (picture("red"),)))))
    assert text == "It is red."
    assert [prompt.chat for prompt in core.prompts] == [session], "asked once, in its own chat"
    assert len(core.pixels) == 1
    assert [turn.text for turn in engine.store.conversation(session).turns] == [
        "What is it?", "It is red.",
    ]  # fmt: skip
    answered(list(engine.send(session, Draft("Really?"))))
    assert core.prompts[1].parts[:1] == core.prompts[0].parts[:1]


def test_what_can_not_be_stored_is_not_answered(
    begin: Callable[..., Engine], random_folder: Path
) -> None:
    def opened() -> Store:
        assert asked.wait(LONG_S)
        raise StorageError("The disk is full.")

    gate = threading.Semaphore(1)
    engine = begin(opened, Heard(random_folder, ["One two three"], gate=gate))
    with pytest.raises(StorageError, match="full"):
        list(engine.send(None, Draft("Hello")))
    gate.release()
    assert ended.wait(LONG_S), "the model was stopped"


def test_another_text_than_was_stored_is_not_what_is_answered(
    begin: Callable[..., Engine], random_folder: Path, database: Path
) -> None:
    core = Heard(random_folder, ["First.", "Second."])
    engine = begin(lambda: Store.open(database), core)
    _, text = answered(list(engine.send(None, Draft("a\0b"))))
    assert text == "Second."
    assert "a\ufffdb" in said(core.prompts[1])


def test_an_error_of_the_model_is_the_replys(
    begin: Callable[..., Engine], random_folder: Path, database: Path
) -> None:
    broken = ("On", ModelError("The model broke."))
    engine = begin(lambda: Store.open(database), Heard(random_folder, [broken]))
    stored, *_, failed = list(engine.send(None, Draft("Hello")))
    assert isinstance(stored, UserTurnStored)
    assert isinstance(failed, ReplyFailed)
    assert failed.message == "The model broke."
    assert failed.turn is not None
    assert (failed.turn.text, failed.turn.finish_reason) == ("On", FinishReason.ERROR)


def test_a_front_end_that_leaves_ends_it(
    begin: Callable[..., Engine], random_folder: Path, database: Path
) -> None:
    gate = threading.Semaphore(1)
    engine = begin(lambda: Store.open(database), Heard(random_folder, ["One two"], gate=gate))
    events = engine.send(None, Draft("Hello"))
    assert isinstance(next(events), UserTurnStored)
    assert asked.wait(LONG_S)
    events.close()  # type: ignore[attr-defined]
    gate.release()
    assert ended.wait(LONG_S)
    (session,) = [one.id for one in engine.store.sessions()]
    assert engine.store.conversation(session).turns[-1].text == "Hello"
