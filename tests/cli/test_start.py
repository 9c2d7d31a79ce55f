"""A command imports what it needs and no more: that is most of the time of a start."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

from assistant.cli import chat
from assistant.cli.root_command import cli
from assistant.engine.engine import Engine
from assistant.settings.load import load
from assistant.values.conversation import Draft
from storage.store import Store
from tests.conftest import ROOT

HEAVY = {
    "PIL",
    "huggingface_hub",
    "numba",
    "numpy",
    "textual",
    "tokenizers",
    "torch",
    "transformers",
}
ENGINE = {"assistant.engine", "assistant.families", "assistant.window", "assistant.worker"}
ALSO_HELP = {"sqlalchemy", "storage"}


def imported(*words: str) -> set[str]:
    code = (
        "import sys, atexit\n"
        f"sys.argv = {['phichat', *words]!r}\n"
        "atexit.register(lambda: print('\\n', *sys.modules, file=sys.stderr))\n"
        "from assistant.cli.root_command import main\n"
        "main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], HEAVY | ENGINE | ALSO_HELP),
        (["ask", "--help"], HEAVY | ENGINE | ALSO_HELP),
        (["sessions", "list"], HEAVY | ENGINE),
        (["sessions", "search", "lamp"], HEAVY | ENGINE),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_use(
    words: list[str], unwanted: set[str]
) -> None:
    modules = imported(*words)
    assert "assistant.cli" in modules
    assert modules & unwanted == set()


def test_a_question_imports_no_library_of_the_worker_or_of_pictures() -> None:
    wanted = {"tokenizers", "huggingface_hub"}  # counting tokens, finding the model's folder
    modules = imported("prompt", "Hello")
    assert "assistant.engine" in modules
    assert modules & (HEAVY - wanted) == set()


def test_a_list_compiles_no_pattern_of_scripts_that_no_title_has() -> None:
    code = (
        "import storage.store, storage.words\n"
        "print(storage.words.marks.cache_info().currsize)\n"
        "storage.words.indexed('caf\u00e9')\n"
        "print(storage.words.marks.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["0", "1"]


def test_a_worker_starts_before_the_database_is_imported() -> None:
    program = (
        "import sys\n"
        "from assistant.worker.client import LocalCore\n"
        "started = LocalCore.preload\n"
        "def preload(core):\n"
        "    print('sqlalchemy' in sys.modules)\n"
        "    started(core)\n"
        "LocalCore.preload = preload\n"
        "from assistant.cli.root_command import cli\n"
        "cli(['ask', '--max-new-tokens', '1', 'Hello'], prog_name='phichat')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "False"


def test_pictures_in_the_place_of_a_command_open_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "B.JPG", "models"):
        Path(name).touch()
    context = click.Context(cli)
    for words in (
        ["a.png"], ["a.png", "B.JPG", "--model", "demo"], ["B.JPG"], ["missing.png"],
        ["bill.pdf#2-4"], ["a.png@0,0,50%,50%"], ["https://example.org/1"],
    ):  # fmt: skip
        name, command, rest = cli.resolve_command(context, words)
        assert (name, rest) == ("chat", words)
        assert command is cli.get_command(context, "chat")
    assert cli.resolve_command(context, ["models", "list"])[0] == "models"
    with pytest.raises(click.UsageError, match="No such command"):
        cli.resolve_command(context, ["missing"])


@pytest.mark.parametrize("model", [None, "demo"])
def test_the_app_opens_a_chat_with_its_own_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str | None
) -> None:
    """No server is asked before the app stands."""
    monkeypatch.setenv("PHICHAT_HOME", str(tmp_path))
    own = "http://127.0.0.1:9/v1#seer"
    with closing(Store.open(load({}).store_location)) as store:
        store.add_user_turn(None, Draft("Hello"), model=own)
    chosen: list[str] = []

    class App:
        last_words, exit_code = "", 0

        def __init__(self, engine: Engine, *_: object, **__: object) -> None:
            chosen.append(engine.model.settings.model)

        async def run_async(self) -> None: ...

        def give_terminal_back(self) -> None: ...

    monkeypatch.setattr("tui.app.PhichatApp", App)
    monkeypatch.setattr(chat, "_end_within", lambda *_: None)
    monkeypatch.setattr(chat, "_must_be_seen", lambda: None)
    monkeypatch.setattr("tui.terminal.detect.choose", lambda *_, **__: None)
    assert chat.chat.callback is not None
    chat.chat.callback(last=True, model=model)
    assert chosen == [model or own]
