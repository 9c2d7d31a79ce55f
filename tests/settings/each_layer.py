"""Each layer with the values of :mod:`tests.settings.more_values`; run by test_added_values.py."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.settings.file import template
from assistant.settings.load import load, load_with_origins
from assistant.values.conversation import Draft
from assistant.values.sampling import Parameters, Sampling
from assistant.worker.frames import sampling_from_json
from storage.store import Store
from tests.servers.openai_server import serving
from tests.tui.conftest import byte_folder, desk, empty_database, make_desk  # noqa: F401
from tests.tui.desk import WIDE, Desk, sees, until
from tests.tui.test_settings import config, edit, opened
from tui.app import PhichatApp


def phichat(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments, prog_name="phichat")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_options() -> None:
    code, said = phichat("ask", "--help")
    assert code == 0
    said = " ".join(said.split())
    assert "--typical-p P Only tokens that are typical. [0<x<=1]" in said
    for command in ("ask", "chat", "prompt", "doctor"):
        code, said = phichat(command, "--help")
        assert "--paper [plain|ruled] What is written upon." in " ".join(said.split()), command
    assert phichat("ask", "--typical-p", "0", "x")[0] == 2
    assert phichat("ask", "--paper", "wet", "x")[0] == 2


def test_file() -> None:
    text = template()
    assert "# Only typical tokens (a number above 0, up to 1).\n# typical_p = 1.0\n" in text
    assert '# The paper of the chat ("plain" or "ruled").\n# paper = "plain"\n' in text
    assert phichat("config", "set", "typical_p", "0.5")[0] == 0
    assert phichat("config", "set", "paper", "ruled")[0] == 0
    assert (load().value("typical_p"), load().value("paper")) == (0.5, "ruled")
    shown = json.loads(phichat("config", "show", "--json")[1])["settings"]
    assert (shown["typical_p"]["value"], shown["paper"]["value"]) == (0.5, "ruled")
    assert phichat("config", "set", "typical_p", "2")[0] == 1


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_TYPICAL_P", "0.25")
    monkeypatch.setenv("PHICHAT_PAPER", "ruled")
    chosen, origins = load_with_origins()
    assert (chosen.value("typical_p"), chosen.value("paper")) == (0.25, "ruled")
    assert (origins["typical_p"], origins["paper"]) == ("PHICHAT_TYPICAL_P", "PHICHAT_PAPER")


async def test_settings_page(desk: Desk) -> None:  # noqa: F811
    session = desk.chat("Hi", "Hello.")
    app: PhichatApp = desk.app(session)
    async with app.run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello.")
        options = await opened(pilot)
        assert {"typical_p", "paper"} <= {one.id for one in options._options}
        await edit(pilot, "paper", "ruled")
        await until(pilot, lambda: config(desk) == {"paper": "ruled"}, "the file")
        await edit(pilot, "typical_p", "0.5")
        model = desk.engine.model
        await until(pilot, lambda: model.settings.value("typical_p") == 0.5, "it is in force")
        await pilot.press("tab")
        await edit(pilot, "typical_p", "0.25")
        store = desk.engine.store
        await until(
            pilot,
            lambda: store.conversation(session).parameters == Parameters(typical_p=0.25),
            "a value of the chat's own",
        )
    assert desk.engine.model.sampling(Parameters()) == Sampling(typical_p=0.5)  # type: ignore[call-arg]


def test_document(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path / "one.db")) as store:
        session, _ = store.add_user_turn(None, Draft("Hi"))
        store.set_parameters(session, Parameters(typical_p=0.5))
        text = "".join(map(str, store.export([session])))
    assert json.loads(text)["sessions"][0]["parameters"]["typical_p"] == 0.5
    (tmp_path / "one.json").write_text(text)
    with closing(Store.open(tmp_path / "two.db")) as store:
        store.import_file(tmp_path / "one.json", lambda source: pytest.fail(source))
        assert store.conversation(session).parameters == Parameters(typical_p=0.5)


def test_worker() -> None:
    sampling = Sampling(typical_p=0.5)  # type: ignore[call-arg]
    assert sampling_from_json(json.loads(json.dumps(asdict(sampling)))) == sampling


def test_server_request() -> None:
    with serving() as server:
        code, said = phichat("ask", "--model", server.address, "--typical-p", "0.5", "Hi")
        assert (code, said) == (0, "Hello.\n")
        assert phichat("ask", "--model", server.address, "Hi")[0] == 0
    assert server.chats[0].json["typical_mass"] == 0.5
    assert "typical_mass" not in server.chats[1].json
