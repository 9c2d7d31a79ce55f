"""The main job on real input: the demo model, in its worker process, talks about picture files.

The bars are those of the project's first issue: 90 % of fresh single shapes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import demo_model as demo
from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from assistant.values.events import ReplyEnded
from assistant.worker.client import LocalCore
from storage.store import Store
from tests.conftest import Phichat
from tests.e2e.drawings import COLOUR_QUESTIONS, SHAPE_QUESTIONS, Drawing, draw, says


@pytest.fixture(scope="module")
def core() -> Iterator[LocalCore]:
    core = LocalCore("demo")
    yield core
    core.close()


@pytest.fixture
def engine(core: LocalCore, tmp_path: Path) -> Iterator[Engine]:
    store = Store.open(tmp_path / "phichat.db")
    yield Engine(store, Model(load_settings(), core))
    store.close()


def ask(engine: Engine, session: str | None, text: str, *paths: Path) -> tuple[str, str]:
    """(session, answer)"""
    files = tuple(engine.pictures.open(str(path)) for path in paths)
    *_, event = engine.send(session, Draft(text, files))
    assert isinstance(event, ReplyEnded), event
    return event.session_id, event.turn.text


def conversation(
    engine: Engine, one: Drawing, two: Drawing, pick: random.Random
) -> dict[str, bool]:
    """Ask about one picture, follow up from the history, attach another in turn 3."""
    session, answer = ask(
        engine, None, pick.choice(COLOUR_QUESTIONS).format(shape=one.shape), one.path
    )
    right = {"colour": says(answer, one.colour)}
    _, answer = ask(engine, session, pick.choice(SHAPE_QUESTIONS).format(colour=one.colour))
    right["shape, from the history"] = says(answer, one.shape)
    _, answer = ask(
        engine, session, pick.choice(SHAPE_QUESTIONS).format(colour=two.colour), two.path
    )
    right["second picture in turn 3"] = says(answer, two.shape)
    _, answer = ask(engine, session, "What colour is the shape in the first picture?")
    right["the first picture again"] = says(answer, one.colour)
    return right


def share(engine: Engine, folder: Path, conversations: int, seed: int) -> dict[str, float]:
    pick = random.Random(seed)
    results = [
        conversation(
            engine,
            draw(seed + 2 * number, folder),
            draw(seed + 2 * number + 1, folder),
            pick,
        )
        for number in range(conversations)
    ]
    return {name: sum(r[name] for r in results) / conversations for name in results[0]}


@pytest.mark.slow
def test_single_shapes_over_a_conversation(engine: Engine, tmp_path: Path) -> None:
    rates = share(engine, tmp_path, conversations=25, seed=910_000)
    assert min(rates.values()) >= 0.8, rates
    assert sum(rates.values()) / len(rates) >= 0.9, rates


@pytest.mark.long
def test_two_hundred_single_shapes(engine: Engine, tmp_path: Path) -> None:
    rates = share(engine, tmp_path, conversations=200, seed=920_000)
    assert min(rates.values()) >= 0.9, rates


def test_it_says_what_it_is_and_refuses_the_rest(engine: Engine, tmp_path: Path) -> None:
    drawing = draw(930_000, tmp_path)
    session, answer = ask(engine, None, "Who are you?")
    assert "demo" in answer.lower()
    _, answer = ask(engine, session, "Read the text in this picture.", drawing.path)
    assert not says(answer, drawing.colour) or "can't" in answer or "only" in answer.lower()


def test_the_demo_is_a_folder_like_any_other() -> None:
    """The official layout, loaded by the same code path: no special case but its name."""
    folder = demo.folder()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "phi3_v"
    core = LocalCore(str(folder))
    assert not core.facts().is_demo
    assert core.facts().pictures.default == LocalCore("demo").facts().pictures.default


def test_compare_two_pictures_and_quit_and_go_on(phichat: Phichat, tmp_path: Path) -> None:
    """The command line, one process a question: the conversation is in the database."""
    one, two = draw(940_000, tmp_path), draw(940_001, tmp_path)
    assert (one.colour, one.shape) != (two.colour, two.shape)
    first = json.loads(
        phichat(
            "ask", "--model", "demo", "--max-new-tokens", "64", "--json",
            "-i", one.path, "What colour is the shape?",
        ).stdout
    )  # fmt: skip
    assert says(first["text"], one.colour), first
    second = json.loads(
        phichat(
            "ask", "--model", "demo", "--max-new-tokens", "64", "--json", "--continue",
            "-i", two.path, "And what colour is the shape in the second picture?",
        ).stdout
    )  # fmt: skip
    assert second["session"] == first["session"]
    assert says(second["text"], two.colour), second
