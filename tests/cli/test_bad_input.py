"""Bad input: one plain sentence, exit code 1, nothing stored, no traceback."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import cast

import click
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from assistant.cli.errors import reported_errors
from assistant.cli.root_command import cli
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from storage.store import Store
from tests.conftest import GOLDENS, Phichat


def bomb(path: Path) -> Path:
    """A PNG of 60,000 x 60,000 pixels in a few bytes: 10.8 GB when decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def wrong_picture(kind: str, folder: Path) -> Path:
    good = (GOLDENS / "images" / "vga_640x480.png").read_bytes()
    match kind:
        case "missing":
            return folder / "nothing.png"
        case "directory":
            return folder
        case "text":
            (folder / "text.png").write_text("I am not a picture.\n")
            return folder / "text.png"
        case "truncated":
            (folder / "half.png").write_bytes(good[: len(good) // 2])
            return folder / "half.png"
        case "empty":
            (folder / "empty.png").write_bytes(b"")
            return folder / "empty.png"
        case _:
            return bomb(folder / "bomb.png")


def assert_one_sentence(text: str) -> None:
    assert "Traceback" not in text
    assert text.count("\n") == 1, text
    assert len(text.strip()) > 20


@pytest.mark.parametrize("kind", ["missing", "directory", "text", "truncated", "empty", "bomb"])
def test_pictures_that_are_none(kind: str, phichat: Phichat, tmp_path: Path) -> None:
    done = phichat("ask", "--json", "-i", wrong_picture(kind, tmp_path), "What is this?")
    assert done.returncode == 1
    assert_one_sentence(done.stderr)
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "picture"
    assert error["message"] == done.stderr.strip()
    assert json.loads(phichat("sessions", "list", "--json").stdout) == []


@pytest.mark.slow
def test_a_picture_that_is_cut_in_its_last_rows(phichat: Phichat, tmp_path: Path) -> None:
    data = (GOLDENS / "images" / "vga_480x640.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: -len(data) // 20])
    for command in ("ask", "prompt"):
        done = phichat(command, "--json", "-i", tmp_path / "cut.png", "What is this?")
        assert done.returncode == 0
        assert_one_sentence(done.stderr)
        assert "of its 640 rows are missing" in done.stderr
        json.loads(done.stdout)


def test_patterns_of_pictures(phichat: Phichat, tmp_path: Path) -> None:
    """``-i *.png``, as a shell gives it where nothing matches and where several files do."""
    done = phichat("ask", "-i", tmp_path / "*.png", "What is this?")
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_sentence(done.stderr)
    assert "No file matches" in done.stderr
    a, b = GOLDENS / "images" / "px_1x1.png", GOLDENS / "images" / "sq336.png"
    for words in ([], ["What is this?"]):
        done = phichat("ask", "-i", a, b, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is a picture: give each by an -i of its own" in done.stderr


def test_a_picture_in_an_address_of_its_own(phichat: Phichat) -> None:
    data = base64.b64encode((GOLDENS / "images" / "small_100x80.png").read_bytes()).decode()
    done = phichat("prompt", "--json", "-i", f"data:image/png;base64,{data}", "What is this?")
    assert done.returncode == 0, done.stderr
    (picture,) = json.loads(done.stdout)["pictures"]
    assert (picture["name"], picture["width"], picture["height"]) == ("pasted.png", 100, 80)


@pytest.mark.parametrize("name", ["microsoft/Phi-3-vision-128k-instruct", "what", "/nowhere"])
def test_unknown_models(name: str, phichat: Phichat) -> None:
    done = phichat("ask", "--model", name, "Hello?")
    assert done.returncode == 1
    assert done.stdout == ""
    assert_one_sentence(done.stderr)
    assert name in done.stderr


@pytest.mark.parametrize("name", ["localhost:11434", "127.0.0.1:8000", "example.org/v1", "a/b/v1"])
def test_a_server_without_the_beginning_of_its_address(name: str) -> None:
    for words in (["ask", "--model", name, "Hi"], ["models", "use", name]):
        said = CliRunner().invoke(cli, words, prog_name="phichat").stderr
        assert "address" in said
        assert "begins with http:// or https://" in said
        assert "pull" not in said


def test_the_demo_need_not_be_fetched() -> None:
    done = CliRunner().invoke(cli, ["models", "pull", "demo"], prog_name="phichat")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "The demo comes with phichat: there is nothing to fetch.\n"


@pytest.mark.slow
def test_a_checkpoint_with_a_missing_weight(
    random_folder: Path, phichat: Phichat, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(random_folder, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    done = phichat("ask", "--json", "--model", folder, "Hello?")
    assert done.returncode == 1
    assert_one_sentence(done.stderr)
    assert "model.layers.0.mlp.down_proj.weight" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "model"
    # what was asked is not lost: the turn is there, and its reply says that it failed
    (session,) = json.loads(phichat("sessions", "list", "--json").stdout)
    turns = json.loads(phichat("sessions", "show", "--json", session["id"]).stdout)["turns"]
    assert [turn["text"] for turn in turns] == ["Hello?", ""]
    assert turns[1]["finish_reason"] == "error"


def test_other_requests_that_fail(phichat: Phichat) -> None:
    for arguments in (
        ["ask", "--session", "nope", "x"],
        ["ask", "--continue", "x"],
        ["sessions", "show", "nope"],
        ["sessions", "rename", "nope", "title"],
        ["sessions", "delete", "nope", "--yes"],
    ):
        done = phichat(*arguments)
        assert done.returncode == 1, arguments
        assert_one_sentence(done.stderr)


def test_a_database_that_is_none(phichat: Phichat, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__)
    monkeypatch.setenv("PHICHAT_DATABASE", str(path))
    done = phichat("sessions", "list")
    assert done.returncode == 1
    assert_one_sentence(done.stderr)


def test_rename_and_delete(phichat: Phichat) -> None:
    location = Path(load_settings().store_location)
    location.parent.mkdir(parents=True)
    with closing(Store.open(location)) as store:
        session, _ = store.add_user_turn(None, Draft("Hello there"))
    assert phichat("sessions", "rename", session[:5], "Greetings").returncode == 0
    (listed,) = json.loads(phichat("sessions", "list", "--json").stdout)
    assert listed["title"] == "Greetings"
    refused = phichat("sessions", "delete", session, stdin="n\n")
    assert refused.returncode == 1
    assert phichat("sessions", "delete", session, "--yes").returncode == 0
    assert json.loads(phichat("sessions", "list", "--json").stdout) == []


@pytest.mark.slow
def test_escape_sequences_never_reach_the_terminal(phichat: Phichat, tmp_path: Path) -> None:
    hostile = tmp_path / "a\x1b]0;owned\x07b.png"
    hostile.write_bytes((GOLDENS / "images" / "sq336.png").read_bytes())
    session = json.loads(phichat("ask", "--json", "-i", hostile, "x\x1b[31m").stdout)["session"]
    for command in (["sessions", "show", session], ["sessions", "list"]):
        done = phichat(*command)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout


def test_what_stands_after_two_dashes_is_no_option(phichat: Phichat) -> None:
    done = phichat("sessions", "show", "--", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--json" in done.stderr


def _number_options() -> list[tuple[click.Command, str]]:
    """Every option of any command that takes a number with a fraction."""
    context = click.Context(cli)
    groups: list[click.Group] = [cli]
    found = []
    while groups:
        group = groups.pop()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                groups.append(command)
            elif command is not None:
                kinds = {one.opts[0]: one.type for one in command.params}
                found += [
                    (command, name)
                    for name, kind in kinds.items()
                    if isinstance(kind, (click.FloatRange, type(click.FLOAT)))
                ]
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ask", "--temperature", "abc", "a"], "'abc' is not a number"),
        (["ask", "--seed", "1.5", "a"], "'1.5' is not a whole number"),
        (["sessions", "list", "--limit", "many"], "'many' is not a whole number"),
        (["serve", "--port", "http"], "'http' is not a whole number"),
    ],
)
def test_words_in_the_place_of_a_number(words: list[str], said: str) -> None:
    context, command = click.Context(cli), cast(click.Command, cli)
    while isinstance(command, click.Group):
        command = cast(click.Command, command.get_command(context, words.pop(0)))
    with pytest.raises(click.UsageError, match=said):
        command.make_context("phichat", words)


def test_what_is_no_number_is_in_no_range() -> None:
    options = _number_options()
    assert {"ask", "batch"} <= {command.name for command, _ in options}
    for command, name in options:
        for word in ("nan", "-NaN", "inf", "-inf"):
            with pytest.raises(click.UsageError, match="is not in the range"):
                command.make_context("phichat", [name, word, "a", "b"])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("give a question", "Give a question"),
        ("b.png is a picture", "b.png is a picture"),
        ("--stop needs a text", "--stop needs a text"),
    ],
)
def test_a_name_keeps_its_first_letter(
    said: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), reported_errors([]):
        raise click.UsageError(said)
    assert capsys.readouterr().err.startswith(f"{shown}; see: ")
