"""Transcripts of commands, word for word: tests/cli/transcripts, rewritten with --snapshot-update.

Every ``--help`` of the whole command line, and every error of the commands that have no file
of tests of their own. Read a transcript as a newcomer would before you keep it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from assistant.cli.root_command import COMMANDS, cli

FOLDER = Path(__file__).parent / "transcripts"

CASES: dict[str, list[list[str]]] = {
    "phichat": [
        ["nonsense"],
        ["aks", "x"],
        ["sessions", "lst"],
        ["--version"],
        ["--nonsense"],
        ["--session", "nope"],
        ["--last", "--session=a"],
        ["--model", "demo", "ask", "x"],
    ],
    "chat": [
        ["chat", "--session", "a", "--last"],
        ["chat", "--session", "nope"],
        ["chat", "--model"],
        ["chat", "--context", "0"],
    ],
    "ask": [
        ["ask"],
        ["ask", "two", "questions"],
        ["ask", "-", "-"],
        ["ask", "-i", "-", "-"],
        ["ask", "-i", "-", "-i", "-", "x"],
        ["ask", "--session", "a", "--continue", "x"],
        ["ask", "--continue", "--system", "y", "x"],
        ["ask", "--json", "--stream-json", "x"],
        ["ask", "--temperature", "hot", "x"],
        ["ask", "--temperature", "11", "x"],
        ["ask", "--top-p", "0", "x"],
        ["ask", "--top-k", "-1", "x"],
        ["ask", "--min-p", "2", "x"],
        ["ask", "--repetition-penalty", "0", "x"],
        ["ask", "--seed", "-1", "x"],
        ["ask", "--max-new-tokens", "0", "x"],
        ["ask", "--stop", "", "x"],
        ["ask", "--kv", "int3", "x"],
        ["ask", "--weights", "int3", "x"],
        ["ask", "--nonsense", "x"],
        ["ask", "x", "-i"],
        ["ask", "-", "<not UTF-8>"],
        ["ask", "--continue", "x"],
        ["ask", "--session", "nope", "x"],
        ["ask", "-i", "nothing.png", "x"],
        ["ask", "-i", ".", "x"],
        ["ask", "-i", "ftp://example.org/a.png", "x"],
        ["ask", "-i", "-", "x", "<not a picture>"],
        ["ask", "--json", "-i", "nothing.png", "x"],
        ["ask", "--stream-json", "-i", "nothing.png", "x"],
        ["ask", "--model", "nowhere/nothing", "x"],
        ["ask", "--model", "./nothing", "x"],
        ["ask", "--context", "9", "What is the meaning of all this, in a few words?"],
    ],
    "config": [
        ["config", "path"],
        ["config", "path", "--json"],
        ["config", "show"],
        ["config", "set", "max_new_tokens", "300"],
        ["config", "set", "model", "none"],
        ["config", "show", "--json"],
        ["config", "unset", "model"],
        ["config", "set", "colour", "red"],
        ["config", "unset", "colour"],
        ["config", "set", "seed", "x"],
        ["config", "set", "temperature", "11"],
        ["config", "set", "seed"],
        ["config", "set", "max_new_tokens", "-5"],
        ["config", "edit", "<editor: true>"],
        ["config", "edit", "<editor: false>"],
        ["config", "edit", "<editor: nowhere --wait>"],
        ["config", "edit", "<editor: breaks it>"],
        ["config", "show"],
        ["config", "set", "seed", "1"],
    ],
    "completion": [["completion"], ["completion", "tcsh"]],
    "serve": [["serve", "--port", "0"], ["serve", "--host", "nowhere.invalid"]],
}

Say = Callable[[list[str]], str]

STDIN = {"<not UTF-8>": b"\xff\xfe", "<not a picture>": b"I am none."}


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs a command in an empty folder and gives back its transcript."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PHICHAT_KEEP_ALIVE")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    breaks = tmp_path / "breaks"
    breaks.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'a').write('seed = ?')\n")
    breaks.chmod(0o755)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)

    def run(arguments: list[str]) -> str:
        shown = "phichat " + " ".join(
            one if re.fullmatch(r"[\w./:<>-]+", one) else f'"{one}"' for one in arguments
        )
        stdin = next((STDIN[one] for one in arguments if one in STDIN), None)
        for one in arguments:
            if editor := re.fullmatch("<editor: (.*)>", one):
                command = str(breaks) if editor[1] == "breaks it" else editor[1]
                monkeypatch.setenv("EDITOR", command)
        given = [one for one in arguments if not one.startswith("<")]
        done = CliRunner().invoke(cli, given, input=stdin, prog_name="phichat")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        stderr = "".join(f"! {line}\n" for line in done.stderr.splitlines())
        text = f"$ {shown}\n{done.stdout}{stderr}"
        return text + (f"[{done.exit_code}]\n" if done.exit_code else "")

    def masked(text: str) -> str:
        return text.replace(str(tmp_path), "/tmp")

    return lambda arguments: masked(run(arguments))


def compare(name: str, text: str, config: pytest.Config) -> None:
    file = FOLDER / f"{name}.txt"
    if config.getoption("update_snapshots"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", sorted(CASES))
def test_errors(name: str, say: Say, request: pytest.FixtureRequest) -> None:
    compare(name, "\n".join(map(say, CASES[name])), request.config)


def tree(command: click.Command, path: list[str]) -> Iterator[list[str]]:
    """The paths of a command and everything below it."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from tree(below, [*path, name])


@pytest.mark.parametrize("name", ["phichat", *COMMANDS])
def test_help(name: str, say: Say, request: pytest.FixtureRequest) -> None:
    if name == "phichat":
        paths: list[list[str]] = [[]]
    else:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        paths = list(tree(command, [name]))
    text = "\n".join(say([*path, "--help"]) for path in paths)
    compare(f"{name}-help", text, request.config)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    first = command.help.strip().split("\n\n")[0].replace("\n", " ")
    assert first.startswith(COMMANDS[name][1].rstrip("."))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_teaches_with_examples(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for path in tree(command, [name]):
        done = CliRunner().invoke(cli, [*path, "--help"], prog_name="phichat")
        assert f"  phichat {' '.join(path)}" in done.stdout.partition("\n")[2], path


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; from assistant.cli.root_command import cli\n"
        "try: cli(sys.argv[1:], prog_name='phichat')\n"
        "finally: print([m for m in ('torch', 'transformers', 'sqlalchemy', 'textual', 'PIL', "
        "'numpy', 'tokenizers', 'pydantic', 'assistant.engine') "
        "if m in sys.modules])"
    )
    for arguments in (["--help"], ["--version"], ["ask", "--help"], ["chat", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert done.stdout.splitlines()[-1] == "[]", arguments
