"""Completion, driven in real interactive shells: what a tab makes of a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from assistant.cli.root_command import cli
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from storage.store import Store
from tests.cli.shells import Shell


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    """A shell in a folder with a few files, in which ``phichat`` is ours."""
    work = tmp_path / "work"
    (work / "pics").mkdir(parents=True)
    for name in ("a b.PNG", "notes.txt", "chart.jpeg", "it's.png", ".hidden.png", "pics/x.webp"):
        (work / name).touch()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(work))
    with closing(Shell(request.param, work, os.environ)) as shell:
        yield shell


def store_session(title: str, model: str | None = None) -> str:
    location = Path(load_settings().store_location)
    location.parent.mkdir(parents=True, exist_ok=True)
    with closing(Store.open(location)) as store:
        session, _ = store.add_user_turn(None, Draft(title), model=model)
        return session


def test_a_tab_finishes_the_word(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, last in {
        "phichat comp": "completion",
        "phichat ask --conti": "--continue",
        "phichat ask -i a": "a b.PNG",
        "phichat ask -i it": "it's.png",
        "phichat chat pics/": "pics/x.webp",
        "phichat ask -i pi": "pics/",
        "phichat ask -i no": "no",
        "phichat sessions import no": "notes.txt",
        "phichat sessions import 'a '": "a b.PNG",
        "phichat sessions export x -o no": "notes.txt",
        "phichat sessions export x --output=pi": "--output=pics/",
        "phichat sessions backup no": "notes.txt",
        "phichat sessions backup pi": "pics/",
        "phichat batch -o no": "notes.txt",
        "phichat batch x pi": "pics/",
        "phichat ask --schema no": "notes.txt",
        "phichat char": "chart.jpeg",
        "phichat ./a": "./a b.PNG",
        "phichat models use pi": "pics/",
        "phichat prompt --model microsoft/phi-3.": "microsoft/Phi-3.5-vision-instruct",
        "phichat ask --model ./pi": "./pics/",
        "phichat config set max_n": "max_new_tokens",
        "phichat config set dtype bf": "bfloat16",
        "phichat config set thinking_models lo": "lo",
        "phichat config set shared_worker f": "false",
        "phichat config set model de": "demo",
        "phichat completion f": "fish",
    }.items():
        assert shell.complete(line)[-1] == last, line


def test_session_ids_complete(shell: Shell) -> None:
    session = store_session("The red circle")
    for line in ("phichat ask --session ", "phichat sessions show ", "phichat chat --session "):
        assert shell.complete(line + session[:4])[-1] == session, line


def test_servers_complete_that_chats_were_held_with(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "http://localhost:8000/v1#some/other"
    store_session("Hi", model=address)
    store_session("Ho", model="http://u:secret@host/v1")
    for line in ("ask --model http", "ask --model http:", "models use http://localhost:8"):
        assert shell.complete(f"phichat {line}")[-1] == address, line


def test_several_sessions_differ_by_their_titles(shell: Shell) -> None:
    one, two = store_session("The red circle"), store_session("Blue squares")
    common = next(i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
    shown = shell.offered(f"phichat sessions show {one[:common]}", "red circle")
    assert one in shown


def asked(line: str) -> list[str]:
    """The answer to bash, without a shell."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli"],
        env=os.environ
        | {
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_PHICHAT_COMPLETE": "bash_complete",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_words_that_bash_takes_apart_are_put_together() -> None:
    store_session("Hi", model="http://localhost:8000/v1")
    assert asked("phichat ask --model = http : //loc") == ["plain,//localhost:8000/v1"]
    assert asked("phichat ask --model = de") == asked("phichat ask --model de") == ["plain,demo"]
    assert "plain,demo" in asked("phichat ask --model =")


def test_looking_makes_no_database() -> None:
    assert asked("phichat ask --session ") == []
    assert not Path(load_settings().store_location).exists()


def test_what_can_not_be_read_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_SEED", "x")
    assert asked("phichat ask --session ") == []
    assert asked("phichat ask -i /nowhere/") == []


def test_only_session_ids_load_the_database_library(tmp_path: Path) -> None:
    program = (
        "import sys; from assistant.cli.root_command import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'sqlalchemy', 'textual', 'assistant.engine')"
        " if m in sys.modules])"
    )
    for line in ("phichat ", "phichat ask --", "phichat ask -i ", "phichat ask --model "):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ
            | {
                "COMP_WORDS": line,
                "COMP_CWORD": str(line.count(" ")),
                "_PHICHAT_COMPLETE": "bash_complete",
            },
            capture_output=True,
            text=True,
        )
        assert done.stdout.splitlines()[-1] == "[]", (line, done.stderr)


def _path_parameters(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Parameter]]:
    """List the parameters whose help names a file, a folder or a picture as what stands there."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from _path_parameters(command, f"{path}{name} ")
        elif command is not None:
            for one in command.params:
                place = one.make_metavar(click.Context(command))
                if re.search("FILE|FOLDER|PICTURE|SCHEMA|DIRECTORY|PATH", place):
                    yield f"{path}{name} {one.name}", one


def test_whatever_takes_a_path_completes_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("every.png").touch()
    found = dict(_path_parameters(cli))
    assert {"sessions import files", "batch output", "ask schema"} <= set(found)
    for place, parameter in found.items():
        context = click.Context(click.Command("x"))
        offers = {one.value: one.type for one in parameter.shell_complete(context, "ev")}
        assert offers == {"every.png": "path"} or "file" in offers.values(), place
