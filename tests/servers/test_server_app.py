"""The app from its first start to an answer of a server, with the real engine."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator

import pytest
from textual.widgets import Input, OptionList

from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.servers import nearby
from assistant.settings.load import load as load_settings
from tests.servers.openai_server import Server, refusing, saying
from tests.servers.test_chances import RED, replying, sent, token
from tests.tui.desk import idle, open_page, pane, screen, sees, send, shown, until
from tests.wait import LIMIT_S
from tui.app import PhichatApp
from tui.pages.connect import ConnectScreen
from tui.pages.engine_state import EngineStateScreen
from tui.pages.models import ModelsScreen


@pytest.fixture
def engine() -> Iterator[Engine]:
    """As the command line makes it, in a home where phichat never ran."""
    one = open_engine(load_settings())
    yield one
    one.close()


async def test_connect_at_the_first_start_ask_and_see_where_it_goes(
    engine: Engine, server: Server
) -> None:
    server.models = [{"id": "tiny", "max_model_len": 4096}, {"id": "some/other"}]
    server.answers = [saying("I am a server. [bold]No markup[/bold] \x1b[2J")]
    place = server.address.removeprefix("http://")
    # so high that the last choice is in sight with a line on how slow a model is here, or without
    async with PhichatApp(engine, engine.model.settings).run_test(size=(100, 40)) as pilot:
        await sees(pilot, "Stay with the demo model")  # the last choice, the server is above it
        await pilot.press("up", "up", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectScreen), "the question")
        field = pilot.app.screen.query_one(Input)
        field.value = "127.0.0.1:9"
        await pilot.press("enter")
        await sees(pilot, "✗ Nothing answers at http://127.0.0.1:9/v1")
        field.value = place
        await pilot.press("enter")
        await sees(pilot, "It has 2 models: choose one.")
        await until(pilot, lambda: pilot.app.screen.query_one(OptionList).has_focus, "the models")
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        await sees(pilot, f"⇄ {place} answers")
        await sees(pilot, "● other")
        file = engine.model.settings.config_file
        await until(pilot, file.exists, "it is remembered")
        assert tomllib.loads(file.read_text())["model"] == f"{server.address}/v1#some/other"
        await send(pilot, "Who are you?")
        await idle(pilot)
        await sees(pilot, "I am a server. [bold]No markup[/bold]")
        await pilot.press("ctrl+l")
        await sees(pilot, "context ▰▱▱▱▱▱▱▱▱▱▱▱ ~")
        assert server.chats[0].json["model"] == "some/other"
        assert "\x1b" not in shown(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(pilot.app.screen, EngineStateScreen), "the engine")
        await sees(pilot, f"{place}: your words and pictures go there")
        await sees(pilot, "r asks the server again")
        await pilot.press("escape", "f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await sees(pilot, "some/other: in use")
        await sees(pilot, "5 Connect to a server")
        await pilot.press("3")  # back to the demo: nothing goes anywhere any more
        await until(pilot, lambda: "⇄" not in shown(pilot), "the first line")
        assert len(server.chats) == 1
        assert len(pane(pilot).turns) == 2


@pytest.mark.slow
async def test_f8_finds_servers_on_a_key_and_remembers_the_choice(
    engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearby, "PORTS", (int(server.address.rpartition(":")[2]),))
    server.models = [{"id": "llama3"}, {"id": "llava"}]
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 44)) as pilot:
        await open_page(pilot, "f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await sees(pilot, "4 Connect to a server")
        assert not server.asked, "nothing is asked before"
        await pilot.press("f")
        await sees(pilot, "a server: sees pictures; your words and pictures go there")
        await sees(pilot, "text, as far as its name says")
        assert shown(pilot).index("#llava") < shown(pilot).index("#llama3")
        await pilot.press("enter")
        file = engine.model.settings.config_file
        await until(pilot, file.exists, "it is remembered")
        assert tomllib.loads(file.read_text())["model"] == f"{server.address}/v1#llava"
        await until(pilot, lambda: "answers" in shown(pilot), "the first line")


async def test_servers_that_are_found_before_the_models_are_listed_stay(
    engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearby, "PORTS", (int(server.address.rpartition(":")[2]),))
    server.models = [{"id": "llava"}]
    available, may_list = engine.model.available, threading.Event()

    def slowly(models: object) -> object:
        assert may_list.wait(LIMIT_S)
        return available(models)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.model, "available", slowly)
    async with PhichatApp(engine, engine.model.settings).run_test(size=(120, 44)) as pilot:
        await open_page(pilot, "f8")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "the models")
        await pilot.press("f")
        await sees(pilot, "Found 1 model on this machine.")
        may_list.set()
        await sees(pilot, "#llava")
        await sees(pilot, "5 Connect to a server")


@pytest.mark.slow
async def test_a_doubtful_word_of_a_server_goes_on_otherwise(
    engine: Engine, server: Server
) -> None:
    server.models = [{"id": "tiny", "owned_by": "vllm"}]
    server.answers = [RED, replying(sent(", I think", token(", I think")))]
    engine.model.use(server.address)
    async with PhichatApp(engine, engine.model.settings).run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        await send(pilot, "What is it?")
        await idle(pilot)
        await send(pilot, "/doubts")
        await sees(pilot, "2 doubtful words")
        await sees(pilot, "30.0 %  “understandably”")
        await sees(pilot, "(the end)")
        await pilot.press("right")
        await sees(pilot, "60.0 %  “🟥 square”")
        await pilot.press("enter")
        await idle(pilot)
        await sees(pilot, "It is understandably 🟥 square, I think")


async def test_a_warning_of_a_server_is_said(engine: Engine, server: Server) -> None:
    """It stood on the page of the context alone."""
    server.rule = lambda asked: refusing(500, "Broken") if len(asked.said) > 1 else None
    engine.model.use(f"{server.address}/v1")
    async with PhichatApp(engine, engine.model.settings).run_test(size=(100, 30)) as pilot:
        await send(pilot, "One")
        await idle(pilot)
        await send(pilot, "Two")
        await sees(pilot, "The server did not take the whole chat")
