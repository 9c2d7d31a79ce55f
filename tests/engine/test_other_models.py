"""Another model behind the same engine, other settings, and the prompt spelled out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.settings.schema import Settings
from assistant.values.conversation import Draft
from assistant.values.errors import ModelError
from assistant.values.generation import TokensGenerated
from assistant.values.model import Core, ModelFacts
from storage.store import Store
from tests.engine.conftest import MakeEngine, picture, send
from tests.scripted_core import ScriptedCore


class NamedCore(ScriptedCore):
    """A scripted core whose model has the name in the settings; “absent” is not there."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, replies=(f"I am {settings.model}.",))
        self.name = settings.model
        self.preloaded = False

    def facts(self) -> ModelFacts:
        if self.name == "absent":
            raise ModelError("The model absent is not on this machine.")
        return replace(super().facts(), name=self.name)

    def preload(self) -> None:
        self.preloaded = True


@pytest.fixture
def cores() -> list[NamedCore]:
    return []


@pytest.fixture
def engine(
    random_folder: Path, empty_database: Path, tmp_path: Path, cores: list[NamedCore]
) -> Engine:
    def make_core(settings: Settings) -> Core:
        cores.append(NamedCore(random_folder, settings))
        return cores[-1]

    store = Store.open(shutil.copy(empty_database, tmp_path / "phichat.db"))
    settings = load_settings({"model": "first"})
    return Engine(store, Model(settings, make_core(settings), make_core))


def last_reply(engine: Engine, session: str) -> tuple[str, str | None]:
    turn = engine.store.conversation(session).turns[-1]
    return turn.text, turn.model


def test_another_model_answers_in_the_same_session(engine: Engine, cores: list[NamedCore]) -> None:
    events = send(engine, None, "Who are you?")
    session = events[0].session_id  # type: ignore[union-attr]
    assert last_reply(engine, session) == ("I am first.", "first")
    engine.model.use("second")
    assert cores[0].closed
    assert cores[1].preloaded
    assert (engine.model.facts().name, engine.model.settings.model) == ("second", "second")
    events = send(engine, session, "And now?")
    assert last_reply(engine, session) == ("I am second.", "second")
    # the first model's ids mean nothing to the second: its reply is tokenized from its text
    assert any(isinstance(part, tuple) for part in cores[1].prompts[0].parts)
    assert not any(isinstance(event, TokensGenerated) for event in events)


def test_a_chat_that_was_compared_stays_with_its_own_model(engine: Engine) -> None:
    """Else one look at a server's answer would send it the rest of the chat, unasked."""
    send(engine, None, "Who are you?")
    session = engine.store.latest_session()
    assert session is not None
    list(engine.compare(session, "second"))
    assert last_reply(engine, session) == ("I am second.", "second")
    assert engine.store.conversation(session).model == "first"


def test_a_model_that_is_not_here_changes_nothing(engine: Engine, cores: list[NamedCore]) -> None:
    with pytest.raises(ModelError, match="not on this machine"):
        engine.model.use("absent")
    assert engine.model.facts().name == engine.model.settings.model == "first"
    assert not cores[0].closed
    session = send(engine, None, "Who are you?")[0].session_id  # type: ignore[union-attr]
    assert last_reply(engine, session)[1] == "first"


def test_other_settings_are_used_from_the_next_message_on(
    engine: Engine, cores: list[NamedCore]
) -> None:
    send(engine, None, "Hello")
    engine.model.settings = engine.model.settings.changed(temperature=0.7, system="Brief.")
    send(engine, None, "Hello")
    assert [one.temperature for one in cores[0].samplings] == [0.0, 0.7]
    assert len(cores) == 1
    assert engine.prompts.context(None).system_tokens > 0


def test_a_prompt_is_spelled_token_for_token(make: MakeEngine) -> None:
    """Nothing is lost, and a control token in a text is no control token."""
    engine, _ = make()
    preview = engine.prompts.preview(
        None, Draft("Say <|end|> twice", (picture("red"), picture("blue")))
    )
    pieces = engine.prompts.spell(preview)
    ids = tuple(token for part in preview.prompt.parts if isinstance(part, tuple) for token in part)
    assert tuple(token for piece in pieces for token in piece.ids) == ids
    controls = [piece.text for piece in pieces if piece.is_control]
    # the reference begins every piece of text between pictures with <s>
    assert [one for one in controls if one != "<s>"] == ["<|user|>", "<|end|>", "<|assistant|>"]
    shown = [piece.picture for piece in pieces if piece.picture is not None]
    assert tuple(shown) == preview.context.pictures
    assert any("Say <|end|> twice" in piece.text for piece in pieces if not piece.is_control)
