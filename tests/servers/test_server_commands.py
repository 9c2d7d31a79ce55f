"""The command line with the address of a server wherever it takes a model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.root_command import cli
from tests.conftest import GOLDENS
from tests.servers.openai_server import Server, refusing, saying

NOWHERE = "http://127.0.0.1:9"


def phichat(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(cli, list(map(str, arguments)), prog_name="phichat")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_use_ask_go_on_and_what_models_list_remembers(server: Server) -> None:
    server.models = [{"id": "tiny"}, {"id": "some/other", "context_length": 9000}]
    name = f"{server.address}/v1#some/other"
    done = phichat("models", "use", f"{server.address}#some/other")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"The model of every start is now {name} (")
    assert done.stderr == "A server answers: your words and pictures go there.\n"
    server.answers = [saying("A \x1b[2Jsquare."), saying("Blue.")]
    done = phichat("ask", "-i", GOLDENS / "images" / "sq336.png", "What is this?")
    assert done.stdout == "A square.\n"
    assert server.chats[0].json["model"] == "some/other"
    answer = json.loads(phichat("ask", "--continue", "--json", "Colour?").stdout)
    assert (answer["text"], answer["model"]) == ("Blue.", name)
    assert [role for role, _ in server.chats[1].said] == ["user", "assistant", "user"]
    phichat("models", "use", "demo")
    asked = len(server.asked)
    listed = phichat("models", "list").stdout
    assert f"  {name}  (a server)\n    your words and pictures go there\n" in listed
    assert len(server.asked) == asked  # nothing is asked of any network


def test_a_folder_that_chats_were_held_with_is_listed_while_it_is_there(
    random_folder: Path, tmp_path: Path
) -> None:
    from assistant.values.conversation import Draft
    from storage.store import Store
    from tests.engine.conftest import picture

    home = Path(os.environ["PHICHAT_HOME"])
    home.mkdir()
    store = Store.open(home / "phichat.db")
    for model in (random_folder, tmp_path / "gone", "relative/folder"):
        store.add_user_turn(None, Draft("Hi", (picture("red"),)), model=str(model))
    store.close()
    listed = json.loads(phichat("models", "list", "--json").stdout)
    folders = [(one["name"], one["whole"]) for one in listed if one["kind"] == "folder"]
    assert folders == [(str(random_folder), True)]


def test_a_database_that_can_t_be_read_hides_no_model() -> None:
    home = Path(os.environ["PHICHAT_HOME"])
    home.mkdir()
    (home / "phichat.db").write_bytes(b"not a database" * 100)
    done = phichat("models", "list")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("* demo")


def test_use_and_verify_ask_the_server(server: Server) -> None:
    server.models = [{"id": "tiny", "max_model_len": 4096}, {"id": "other"}]
    done = phichat("models", "use", server.address)
    assert f"is now {server.address}/v1#tiny (" in done.stdout
    assert f"the first is taken. Others:\n    {server.address}/v1#other\n" in done.stderr
    done = phichat("models", "verify", server.address)
    assert done.stdout == (
        f"{server.address}/v1 answers. Its models:\n"
        f"  {server.address}/v1#tiny  (reads 4,096 tokens)\n"
        f"  {server.address}/v1#other  (does not tell its context)\n"
    )
    verified = json.loads(phichat("models", "verify", "--json").stdout)  # the one in use
    assert verified["ok"]
    assert verified["models"] == [
        {"name": f"{server.address}/v1#tiny", "model": "tiny", "context": 4096}
    ]
    for command in ("use", "verify"):
        done = phichat("models", command, f"{server.address}#nothing")
        assert done.exit_code == 1
        assert done.stderr.endswith("has no model nothing: it has tiny, other.\n")
    assert phichat("models", "pull", server.address).exit_code == 1


def test_prompt_shows_messages(server: Server) -> None:
    image = GOLDENS / "images" / "sq336.png"
    arguments = ["prompt", "--model", server.address, "-i", image, "What <|end|>\n is it?"]
    lines = phichat(*arguments).stdout.splitlines()
    assert lines[1:4] == ["     user  [picture 1]", "     user  What <|end|>", "     user   is it?"]
    assert lines[-1].startswith("about ")
    shown = json.loads(phichat(*arguments, "--json").stdout)
    assert (shown["ids"], shown["is_estimate"]) == ([], True)
    assert shown["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "picture 1"}},
                {"type": "text", "text": "What <|end|>\n is it?"},
            ],
        }
    ]
    assert not server.chats


def test_doctor_says_whether_it_answers(server: Server) -> None:
    lines = phichat("doctor", "--quick", "--model", server.address).stdout
    assert f"  {server.address}/v1 answers: tiny, reads 4,096 tokens; your words and" in lines
    assert "\nMemory plan" not in lines
    report = json.loads(phichat("doctor", "--quick", "--json", "--model", server.address).stdout)
    assert report["server"] == {"address": f"{server.address}/v1", "model": "tiny", "context": 4096}
    assert report["memory"] is None
    lines = phichat("doctor", "--quick", "--model", NOWHERE).stdout
    assert f"  {NOWHERE}/v1: can't be used\n" in lines
    assert f"  Nothing answers at {NOWHERE}/v1: start the server" in lines
    assert "hidden" not in phichat("doctor", "--quick", "--model", "http://u:hidden@h").stdout


def test_models_list_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_MODEL", "http://u:hidden@h")
    listed = phichat("models", "list").stdout
    assert "* http://…  (a server)" in listed
    assert "give the key in PHICHAT_SERVER_KEY" in listed
    assert "hidden" not in listed


@pytest.mark.parametrize("model", [NOWHERE, "http://u:hidden@h/v1", "https://"])
def test_what_can_t_be_used_is_one_sentence(model: str) -> None:
    for command in (["ask", "Hi"], ["prompt", "Hi"]):
        done = phichat(*command, "--model", model)
        assert (done.exit_code, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert "hidden" not in done.stderr
    done = phichat("ask", "--json", "--model", NOWHERE, "Hi")
    assert json.loads(done.stdout)["error"]["code"] == "unreachable"


def test_a_model_without_eyes_says_so_in_its_own_words(server: Server) -> None:
    server.answers = [refusing(400, "tiny is not a multimodal model")]
    image = GOLDENS / "images" / "sq336.png"
    done = phichat("ask", "--model", server.address, "-i", image, "Hi")
    assert done.exit_code == 1
    assert done.stderr == (
        f"{server.address}/v1 can't see pictures (error 400): tiny is not a multimodal model. Ask "
        "without pictures, or choose a model that sees them (F8, or --model).\n"
    )


@pytest.mark.slow
def test_a_chat_of_a_server_goes_on_there_whatever_the_settings_name(
    server: Server, random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [saying("One."), saying("Two.")]
    phichat("ask", "--model", server.address, "First?")
    monkeypatch.setenv("PHICHAT_MODEL", str(random_folder))
    done = phichat("ask", "--continue", "--json", "Second?")
    assert json.loads(done.stdout)["text"] == "Two."
    session = json.loads(done.stdout)["session"]
    shown = json.loads(phichat("prompt", "--session", session, "--json").stdout)
    assert shown["is_estimate"]
    here = ("--model", str(random_folder), "--max-new-tokens", "2")
    other = json.loads(phichat("ask", "--continue", "--json", *here, "Third?").stdout)
    assert other["model"] == str(random_folder)
    again = json.loads(phichat("ask", "--session", session, "--json", *here[2:], "And?").stdout)
    assert again["model"] == str(random_folder)  # what was named last is the chat's own
    assert len(server.chats) == 2


def test_no_picture_of_a_chat_on_this_machine_goes_to_a_server_unasked(
    server: Server, random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--max-new-tokens", "2")
    image = GOLDENS / "images" / "sq336.png"
    phichat("ask", "--model", random_folder, *few, "-i", image, "What is this?")
    monkeypatch.setenv("PHICHAT_MODEL", server.address)
    answer = json.loads(phichat("ask", "--continue", "--json", *few, "And?").stdout)
    assert answer["model"] == str(random_folder)
    assert server.chats == []
    asked = phichat("ask", "--continue", "--json", "--model", server.address, "And there?")
    assert json.loads(asked.stdout)["text"] == "Hello."


@pytest.mark.slow
def test_a_chat_whose_model_can_t_answer_says_so_and_how_to_go_on(
    server: Server, random_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phichat("ask", "--model", server.address, "First?")
    server.models = refusing(500)
    monkeypatch.setenv("PHICHAT_MODEL", str(random_folder))
    done = phichat("ask", "--continue", "Second?")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"This chat is with {server.address}/v1, which can't answer: " in done.stderr
    assert "name it with --model" in done.stderr
    gone = tmp_path / "gone"
    gone.symlink_to(random_folder)
    phichat("ask", "--model", gone, "--max-new-tokens", "2", "Hi")
    gone.unlink()
    failed = json.loads(phichat("ask", "--continue", "--json", "Go on.").stdout)["error"]
    assert failed["code"] == "model"
    assert f"This chat is with {gone}" in failed["message"]


def test_an_answer_that_is_no_json_is_no_success(server: Server, tmp_path: Path) -> None:
    """A server may take a schema and not obey it: exit code 1, and a batch asks again."""
    model = ["--model", f"{server.address}#tiny", "--schema", "colour red|blue"]
    prose, red = saying("It is red."), saying('{"colour": "red"}')
    picture = GOLDENS / "images" / "sq336.png"
    server.answers = [prose, prose, red]
    plain = phichat("ask", *model, "-i", picture, "Colour?")
    assert (plain.exit_code, plain.stdout) == (1, "It is red.\n")
    assert plain.stderr.count("not JSON") == 1
    made = json.loads(phichat("ask", "--json", *model, "-i", picture, "Colour?").stdout)
    assert (made["text"], made["error"]["code"]) == ("It is red.", "no_json")
    assert "error" not in json.loads(phichat("ask", "--json", *model, "-i", picture, "x").stdout)
    out = tmp_path / "out.jsonl"
    server.answers = [prose, red]
    done = phichat("batch", *model, "Colour?", picture, "-o", out)
    line = json.loads(out.read_text())
    assert (done.exit_code, line["text"], line["key"]) == (1, "It is red.", None)
    assert line["error"]["code"] == "no_json"
    assert phichat("batch", *model, "Colour?", picture, "-o", out).exit_code == 0
    assert json.loads(out.read_text())["value"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ('{"colour": "green"}', "off_schema", "at colour, 'green' is not one of ['red', 'blue']"),
        ('{"result": {"colour": "red"}}', "off_schema", "'colour' is a required property"),
        ('["red"]', "off_schema", "is not of type 'object'"),
        ('{"colour": NaN}', "no_json", "is not JSON"),
    ],
)
def test_json_that_the_schema_does_not_allow(
    server: Server, tmp_path: Path, answer: str, code: str, words: str
) -> None:
    """A table made from it would have holes: exit code 1, and a batch asks again."""
    model = ["--model", f"{server.address}#tiny", "--schema", "colour red|blue"]
    picture = GOLDENS / "images" / "sq336.png"
    server.answers = [saying(answer)] * 3
    plain = phichat("ask", *model, "-i", picture, "Colour?")
    assert (plain.exit_code, plain.stdout) == (1, f"{answer}\n")
    assert plain.stderr.count(words) == 1
    error = json.loads(phichat("ask", "--json", *model, "-i", picture, "Colour?").stdout)["error"]
    assert error["code"] == code
    out = tmp_path / "out.jsonl"
    assert phichat("batch", *model, "Colour?", picture, "-o", out).exit_code == 1
    line = json.loads(out.read_text())
    assert (line["text"], line["error"]["code"], line["key"]) == (answer, code, None)
