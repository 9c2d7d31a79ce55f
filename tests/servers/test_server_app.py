"""The app from its first start to an answer of a server, with the real engine."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from textual.widgets import Input, OptionList

from assistant.engine import Engine, open_engine
from assistant.settings import load as load_settings
from tests.servers.openai_server import Server, saying
from tests.tui.desk import idle, pane, screen, sees, send, shown, until
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
    async with PhichatApp(engine, engine.model.settings).run_test(size=(100, 30)) as pilot:
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
