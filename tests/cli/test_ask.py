"""``phichat ask``: the scenarios of the seed document, their JSON, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from assistant.cli.ask import SHORTENED, is_due_today
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from assistant.worker.shared_workers import shared_workers
from storage.store import Store
from tests.conftest import GOLDENS, ROOT, Phichat
from tests.pictures.pdf_files import page, pdf

IMAGES = GOLDENS / "images"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _warm(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that follow each other within seconds share a worker: the model is loaded once.

    Each test has a database of its own.
    """
    monkeypatch.setenv("PHICHAT_KEEP_ALIVE", "10")
    monkeypatch.setenv("PHICHAT_HOME", str(home))
    monkeypatch.setenv("PHICHAT_DATABASE", str(tmp_path / "phichat.db"))


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert set(value) >= {"session", "turn", "text", "finish_reason", "model", "usage", "timings"}
    assert set(value["usage"]) >= {
        "prompt_tokens",
        "picture_tokens",
        "cached_tokens",
        "completion_tokens",
    }
    assert set(value["timings"]) >= {"load_s", "ttft_s", "decode_tokens_per_s"}
    return value


@pytest.mark.slow
def test_describe_read_and_compare(phichat: Phichat, picture_url: str) -> None:
    """The three scenarios on random weights: the mechanics, from a URL and from files; then a
    follow-up in the same session and what the session remembers."""
    url = f"{picture_url}/vga_640x480.png"
    described = answer(phichat("ask", "--json", "-i", url, "Could you introduce this to me?"))
    assert described["usage"]["picture_tokens"] == 313
    assert described["usage"]["completion_tokens"] == 6
    assert described["finish_reason"] == "length"

    read = answer(
        phichat("ask", "--json", "-i", IMAGES / "cmyk_400x300.jpg", "Read the title, please.")
    )
    assert read["session"] != described["session"]

    compared = answer(
        phichat(
            "ask", "--json", "-i", url, "-i", IMAGES / "sq336.png",
            "What is the difference between these two images?",
        )
    )  # fmt: skip
    assert compared["usage"]["picture_tokens"] == 626

    again = answer(phichat("ask", "--json", "--continue", "And which is larger?"))
    assert again["session"] == compared["session"]
    assert again["usage"]["picture_tokens"] == 626, "the pictures are seen in later turns too"
    shown = json.loads(phichat("sessions", "show", "--json", compared["session"]).stdout)
    assert [turn["role"] for turn in shown["turns"]] == ["user", "assistant"] * 2
    assert [p["number"] for p in shown["turns"][0]["pictures"]] == [1, 2]
    assert shown["turns"][1]["text"] == compared["text"]
    listed = json.loads(phichat("sessions", "list", "--json").stdout)
    assert next(one["id"] for one in listed) == compared["session"]
    assert set(listed[0]) >= {
        "id", "title", "created", "updated", "turns", "pictures", "model", "pinned",
    }  # fmt: skip


def test_logprobs_come_on_wish_and_only_in_json(phichat: Phichat) -> None:
    done = answer(phichat("ask", "--json", "--logprobs", "What is this?"))
    tokens = done["logprobs"]
    assert "".join(one["token"] for one in tokens) == done["text"]
    assert len(tokens) == done["usage"]["completion_tokens"]
    for one in tokens:
        assert one["logprob"] <= 0
        assert [other["id"] for other in one["top"]].count(one["id"]) == 0
        assert len(one["top"]) == 3
    assert "logprobs" not in answer(phichat("ask", "--json", "What is this?"))
    refused = phichat("ask", "--logprobs", "What is this?")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_the_text_of_pages_is_quoted_on_wish(phichat: Phichat, tmp_path: Path) -> None:
    report = tmp_path / "report.pdf"
    report.write_bytes(pdf(page("red", "One."), page("green", "Two.")))
    picture = IMAGES / "sq336.png"
    asked = answer(
        phichat("ask", "--json", "-i", picture, "-i", f"{report}#2", "--page-text", "Is it so?")
    )
    shown = json.loads(phichat("sessions", "show", "--json", asked["session"]).stdout)
    question = shown["turns"][0]
    assert question["text"] == "> report.pdf, page 2:\n> Two.\n\nIs it so?"
    assert [one["name"] for one in question["pictures"]] == ["sq336.png", "report.pdf, page 2"]
    assert question["pictures"][1]["origin"]["page"] == 2
    refused = phichat("ask", "--page-text", "-i", picture, "Is it so?")
    assert refused.returncode == 2
    assert "goes with a PDF" in refused.stderr


def test_plain_output_is_the_answer_and_nothing_else(phichat: Phichat) -> None:
    plain = phichat("ask", "--seed", "1", "-", stdin="What is this?\n")
    assert plain.returncode == 0
    wanted = answer(phichat("ask", "--json", "What is this?"))
    assert plain.stderr == (f"{SHORTENED}\n" if wanted["finish_reason"] == "length" else "")
    assert plain.stdout.rstrip("\n") == wanted["text"].rstrip("\n")


def test_an_interrupted_answer_is_kept(random_folder: Path, phichat: Phichat) -> None:
    command = [
        sys.executable, "-m", "assistant.cli", "ask", "--model", str(random_folder),
        "--max-new-tokens", "12000", "x",
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as ask:
        assert ask.stdout is not None
        assert ask.stdout.read(1)
        ask.send_signal(signal.SIGINT)
        _, stderr = ask.communicate()
    assert ask.returncode == 130
    assert b"Traceback" not in stderr
    (session,) = json.loads(phichat("sessions", "list", "--json").stdout)
    reply = json.loads(phichat("sessions", "show", "--json", session["id"]).stdout)["turns"][-1]
    assert reply["finish_reason"] == "stopped"
    assert reply["text"]


def test_prompt_shows_what_the_model_would_see(phichat: Phichat) -> None:
    done = phichat(
        "prompt", "--json", "-i", IMAGES / "sq336.png", "-i", IMAGES / "tall_336x1344.png", "Hi"
    )
    shown = json.loads(done.stdout)
    slots = [item for item in shown["ids"] if isinstance(item, list)]
    assert slots == [[-1, 313], [-2, 313]]
    assert [p["number"] for p in shown["pictures"]] == [1, 2]
    assert [p["slot"] for p in shown["pictures"]] == [1, 2]
    assert shown["pictures"][1]["width"] == 336
    assert shown["pictures"][1]["crops"] == [1, 1]
    plain = [item for item in shown["ids"] if isinstance(item, int)]
    assert shown["prompt_tokens"] == len(plain) + 626
    assert shown["limit"] == 16384
    assert shown["left_out"] == []
    assert json.loads(phichat("sessions", "list", "--json").stdout) == []


@pytest.mark.slow
def test_what_is_piped_follows_the_question(phichat: Phichat) -> None:
    for arguments, stdin, text in (
        (["Summarise.", "-"], "one\ntwo\n", "Summarise.\n\none\ntwo"),
        (["-"], "\ufeffall of it\n", "all of it"),
        ([], "all of it", "all of it"),
        (["only this"], "not read", "only this"),
    ):
        session = answer(phichat("ask", "--json", *arguments, stdin=stdin))["session"]
        shown = json.loads(phichat("sessions", "show", "--json", session).stdout)
        assert shown["turns"][0]["text"] == text


def test_a_picture_from_a_pipe_and_one_from_a_file(random_folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "assistant.cli", "ask", "--json", "--model", random_folder,
            "--max-new-tokens", "3", "-i", "-", "-i", IMAGES / "sq336.png", "Which?",
        ],
        input=(IMAGES / "vga_640x480.png").read_bytes(),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PHICHAT_NUM_CROPS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["usage"]["picture_tokens"] == 626


def test_lines_of_json_tell_what_happens(phichat: Phichat) -> None:
    done = phichat("ask", "--stream-json", "-i", IMAGES / "sq336.png", "What is this?")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [line["event"] for line in lines]
    assert [kind for kind in kinds if kind not in ("progress", "text")] == [
        "stored", "started", "planned", "ended",
    ]  # fmt: skip
    assert "progress" in kinds
    text = "".join(line["text"] for line in lines if line["event"] == "text")
    end = lines[-1]
    assert end["text"] == text
    assert (end["session"], end["turn"]) == (lines[1]["session"], lines[1]["turn"])
    planned = next(line for line in lines if line["event"] == "planned")
    assert planned["prompt_tokens"] == end["usage"]["prompt_tokens"]
    assert [picture["tokens"] for picture in planned["pictures"]] == [313]


@pytest.mark.slow
def test_flags_go_before_what_the_session_generates_with(phichat: Phichat) -> None:
    first = answer(phichat("ask", "--json", "--max-new-tokens", "3", "Hello"))
    assert first["usage"]["completion_tokens"] == 3
    text = answer(phichat("ask", "--json", "Hello"))["text"]
    assert len(text) > 2, "else there is nothing to stop at"
    cut = answer(phichat("ask", "--json", "--stop", text[2], "Hello"))
    assert cut["text"] == text[: text.index(text[2])]
    assert cut["finish_reason"] == "stop"
    drawn = [
        answer(phichat("ask", "--json", *flags, "Hello"))["text"]
        for flags in (
            ["--temperature", "5", "--seed", "3"],
            ["--temperature", "5", "--seed", "3"],
            ["--temperature", "5", "--seed", "3", "--top-k", "1"],
            ["--temperature", "5", "--seed", "3", "--min-p", "1"],
        )
    ]
    assert drawn[0] == drawn[1] != text
    assert drawn[2] == drawn[3] == text


def test_whatever_ends_it_the_half_answer_is_kept(random_folder: Path, phichat: Phichat) -> None:
    """A signal, or (None) a reader that closes the pipe."""
    for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (None, 1)):
        with _endless(random_folder) as ask:
            assert ask.stdout is not None
            assert ask.stderr is not None
            assert ask.stdout.read(1)
            if number is None:
                ask.stdout.close()
            else:
                ask.send_signal(number)
            stderr = ask.stderr.read()
            assert ask.wait(120) == code
        assert b"Traceback" not in stderr
        assert b"Exception" not in stderr
        assert _last_reply(phichat)["finish_reason"] == "stopped"


@pytest.mark.slow
def test_a_stopped_answer_in_json_says_so(random_folder: Path, phichat: Phichat) -> None:
    with _endless(random_folder, "--stream-json") as ask:
        assert ask.stdout is not None
        while b'"text"' not in (line := ask.stdout.readline()):
            assert line
        ask.send_signal(signal.SIGINT)
        stdout, stderr = ask.communicate()
    assert ask.returncode == 130
    last = json.loads(stdout.splitlines()[-1])
    assert (last["event"], last["finish_reason"]) == ("ended", "stopped")
    assert b"phichat ask --continue" in stderr
    assert _last_reply(phichat)["text"] == last["text"]
    again = answer(phichat("ask", "--json", "--continue", "And?"))
    assert again["session"] == last["session"]


def test_a_half_answer_goes_on_without_a_question(phichat: Phichat) -> None:
    """The reply goes on at its end as if it had never been cut: greedy, so in the same words."""
    whole = answer(phichat("ask", "--json", "--max-new-tokens", "9", "Hello"))["text"]
    half = answer(phichat("ask", "--json", "--max-new-tokens", "4", "Hello"))
    assert half["finish_reason"] == "length"
    rest = phichat("ask", "--continue", "--max-new-tokens", "3")
    assert (rest.returncode, rest.stderr) == (0, f"{SHORTENED}\n"), "it was cut again"
    added = _last_reply(phichat)["text"]
    assert added.startswith(half["text"])
    assert rest.stdout.rstrip("\n") == added.removeprefix(half["text"]).rstrip("\n")
    end = answer(phichat("ask", "--session", half["session"], "--max-new-tokens", "2", "--json"))
    assert (end["turn"], end["text"]) == (half["turn"], whole)


def test_a_question_without_an_answer_is_answered(phichat: Phichat) -> None:
    with closing(Store.open(load_settings().store_location)) as store:
        session, turn = store.add_user_turn(None, Draft("Hello"))
    assert answer(phichat("ask", "--continue", "--json"))["session"] == session
    reply = _last_reply(phichat)
    assert (reply["parent"], reply["role"]) == (turn.id, "assistant")


@pytest.mark.slow
def test_a_half_answer_of_another_model_is_written_again(phichat: Phichat) -> None:
    half = answer(phichat("ask", "--json", "--max-new-tokens", "4", "Hello"))
    demo = ("ask", "--continue", "--json", "--model", "demo", "--max-new-tokens", "100")
    again = answer(phichat(*demo))
    assert again["session"] == half["session"]
    assert again["turn"] != half["turn"]
    assert again["finish_reason"] == "stop"
    nothing = phichat(*demo)
    assert (nothing.returncode, nothing.stderr) == (
        1, "The last answer is complete: give a question.\n",
    )  # fmt: skip
    assert json.loads(nothing.stdout)["error"]["message"] == nothing.stderr.strip()


@pytest.mark.slow
def test_the_second_ctrl_c_ends_at_once(random_folder: Path, phichat: Phichat) -> None:
    """Also while the worker can't hear of the first: it is held still here."""
    with _endless(random_folder) as ask:
        assert ask.stdout is not None
        assert ask.stdout.read(1)
        running = shared_workers(load_settings().runtime_dir)
        (worker,) = (one.pid for one in running if one.folder == str(random_folder))
        os.kill(worker, signal.SIGSTOP)
        try:
            while ask.poll() is None:
                ask.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):  # so that no two are taken for one
                    ask.wait(1)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert ask.stderr is not None
        assert (ask.returncode, ask.stderr.read()) == (-signal.SIGINT, b"")
    assert _last_reply(phichat)["role"] == "assistant"
    assert answer(phichat("ask", "--json", "--continue"))["turn"]


def _endless(model: Path, *flags: str) -> subprocess.Popen[bytes]:
    """A question whose answer takes a while."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "assistant.cli", "ask", "--model", str(model),
            "--max-new-tokens", "12000", *flags, "x",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def _last_reply(phichat: Phichat) -> dict[str, Any]:
    session = json.loads(phichat("sessions", "list", "--json").stdout)[0]["id"]
    reply: dict[str, Any] = json.loads(phichat("sessions", "show", "--json", session).stdout)[
        "turns"
    ][-1]
    return reply


def test_the_word_about_the_demo_is_due_once_a_day(tmp_path: Path) -> None:
    mark = tmp_path / "cache" / "demo-notice"
    assert is_due_today(mark)
    assert not is_due_today(mark)
    os.utime(mark, (0, 0))
    assert is_due_today(mark)
    assert not is_due_today(mark)
    folder = tmp_path / "file"
    folder.write_text("")
    assert is_due_today(folder / "demo-notice"), "a folder that can't be written"


SCHEMA = "shape star|square, is_red bool, count int"


def test_an_answer_obeys_a_schema_and_its_rest_does_too(phichat: Phichat) -> None:
    """On random weights: JSON and nothing else; cut within a value it says so, and goes on."""
    whole = phichat("ask", "--schema", SCHEMA, "--max-new-tokens", "300", "Hello?")
    assert whole.returncode == 0, whole.stderr
    value = json.loads(whole.stdout)
    assert list(value) == ["shape", "is_red", "count"]
    assert value["shape"] in ("star", "square")
    assert type(value["count"]) is int

    cut = phichat("ask", "--schema", SCHEMA, "--max-new-tokens", "7", "Hello?")
    assert cut.returncode == 1
    assert "is not whole JSON" in cut.stderr
    assert "--continue" in cut.stderr
    as_json = phichat("ask", "--json", "--schema", SCHEMA, "--max-new-tokens", "7", "Hello?")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["finish_reason"] == "length"
    rest = phichat("ask", "--continue", "--max-new-tokens", "300")
    assert rest.returncode == 0, rest.stderr
    assert cut.stdout.rstrip("\n") + rest.stdout == whole.stdout


def test_a_schema_that_is_none_stores_nothing(phichat: Phichat, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"not": {}}')
    for schema, why in ((str(path), "can't be obeyed"), ("a b c", "no type b")):
        refused = phichat("ask", "--json", "--schema", schema, "Hello?")
        assert refused.returncode == 1
        assert json.loads(refused.stdout)["error"]["code"] == "schema"
        assert why in refused.stderr
    assert json.loads(phichat("sessions", "list", "--json").stdout) == []


@pytest.mark.parametrize("command", ["ask", "batch"])
@pytest.mark.parametrize("option", ["--schema", "--stop"])
def test_an_empty_text_for_an_option_is_refused(
    phichat: Phichat, command: str, option: str
) -> None:
    """An unset variable of a shell asks for nothing, and nothing is asked."""
    done = phichat(command, option, "", "What?", "a.png")
    assert (done.returncode, f"{option} needs a" in done.stderr) == (2, True)


def test_nothing_on_standard_input_is_no_question(phichat: Phichat) -> None:
    done = phichat("ask", "Summarise this.", "-", stdin="\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Standard input is empty: nothing was asked.\n"
    assert json.loads(phichat("sessions", "list", "--json").stdout) == []
