"""``phichat prompt``: what is shown is what the model would see, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason
from storage.store import Store
from tests.conftest import GOLDENS, ROOT, Phichat

IMAGES = GOLDENS / "images"

KEYS = {
    "model", "ids", "pictures", "prompt_tokens", "picture_tokens", "system_tokens",
    "summary_tokens", "limit", "budget", "max_new_tokens", "until_eviction", "left_out",
    "messages", "is_estimate",
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stored session of eleven exchanges of about a hundred tokens."""
    path = tmp_path / "stored.db"
    monkeypatch.setenv("PHICHAT_DATABASE", str(path))
    store = Store.open(path)
    session_id = None
    for number in range(11):
        session_id, asked = store.add_user_turn(session_id, Draft(f"question {number} " + "a" * 30))
        reply = store.start_reply(session_id, asked.id, model="another")
        store.finish_reply(
            reply.id, text="b" * 40, token_ids=None, finish_reason=FinishReason.STOP,
            usage=None, timings=None,
        )  # fmt: skip
    store.close()
    assert session_id is not None
    return session_id


def as_json(phichat: Phichat, *arguments: str | Path) -> dict[str, Any]:
    done = phichat("prompt", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    assert set(shown) == KEYS
    plain = [one for one in shown["ids"] if isinstance(one, int)]
    slots = [one for one in shown["ids"] if isinstance(one, list)]
    assert shown["prompt_tokens"] == len(plain) + sum(tokens for _, tokens in slots)
    assert [-one["slot"] for one in shown["pictures"]] == [number for number, _ in slots]
    assert [one["tokens"] for one in shown["pictures"]] == [tokens for _, tokens in slots]
    assert shown["prompt_tokens"] + shown["until_eviction"] <= shown["budget"]
    assert shown["budget"] + shown["max_new_tokens"] == shown["limit"]
    return shown


def test_crops_are_shown_with_who_chose_them(
    phichat: Phichat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_NUM_CROPS", "16")
    monkeypatch.setenv("PHICHAT_CONTEXT", "4096")
    monkeypatch.setenv("PHICHAT_MAX_NEW_TOKENS", "1024")
    (picture,) = as_json(phichat, "-i", IMAGES / "vga_640x480.png", "Hi")["pictures"]
    assert (picture["num_crops"], picture["crops"]) == (4, [2, 2])
    assert picture["chosen_by"] == "room"
    plain = phichat("prompt", "-i", IMAGES / "vga_640x480.png", "Hi").stdout.splitlines()
    assert plain[0] == (
        "picture 1  vga_640x480.png  640x480  2x2 crops "
        f"(at most 4, fewer than usual to leave room)  {picture['tokens']} tokens"
    )
    assert f"[-1 x {picture['tokens']}]" in plain[1]
    assert plain[2].endswith(
        "1024 kept for the reply, "
        f"{3072 - int(plain[2].split()[0])} until something is left out; "
        "0 turns and 0 pictures left out"
    )
    assert len(plain) == 3


def test_what_is_left_out_is_named(
    phichat: Phichat, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_CONTEXT", "700")
    own = ("--model", "demo", "--session", session)
    shown = as_json(phichat, *own, "next")
    assert shown["left_out"]
    first = shown["left_out"][0]
    assert set(first) == {"turn", "picture", "why", "tokens"}
    assert (first["why"], first["picture"]) == ("no_room", None)
    plain = phichat("prompt", *own, "next").stdout.splitlines()
    lines = [line for line in plain if line.startswith("left out  ")]
    assert len(lines) == len(shown["left_out"])
    assert lines[0] == (
        f"left out  turn {first['turn']}  user  {first['tokens']} tokens  (no room)  "
        "question 0 aaaaaaaaaaaaaaaaaaaaaaaaaaaa…"
    )
    assert plain[-1].endswith(f"{len(lines)} turns and 0 pictures left out")
    as_it_stands = as_json(phichat, *own)
    assert as_it_stands["prompt_tokens"] < shown["prompt_tokens"] + 10


def test_a_folder_is_remembered_by_its_whole_path(phichat: Phichat, random_folder: Path) -> None:
    assert as_json(phichat, "--model", os.path.relpath(random_folder, ROOT), "Hi")["model"] == str(
        random_folder
    )


def test_a_new_conversation_needs_no_database() -> None:
    program = (
        "import sys; from assistant.cli.root_command import cli\n"
        "try: cli(['prompt', 'Hi'], prog_name='phichat')\n"
        "finally: print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
    assert not Path(load_settings().store_location).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["x" * 5000], "too_long", "shorten the text by about"),
        (["--session", "nope", "x"], "session", "There is no chat"),
        (["-i", "nothing.png", "x"], "picture", "nothing.png"),
        (["--model", "what", "x"], "model", "what"),
    ],
)
def test_errors_are_one_sentence(
    phichat: Phichat, arguments: list[str], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_CONTEXT", "2048")
    done = phichat("prompt", "--json", *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert json.loads(done.stdout) == {"error": {"code": code, "message": done.stderr.strip()}}


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["Summarise:", "-"], "one\ntwo\n", "Summarise:\n\none\ntwo"),
        (["-"], "one\ntwo\n", "one\ntwo"),
        ([], "one\n", "one"),
        (["--system", "Be brief.", "Hi"], "", "Be brief."),
    ],
)
def test_what_ask_would_read_is_laid_out(
    phichat: Phichat, arguments: list[str], stdin: str, words: str
) -> None:
    def ids(*given: str) -> list[int]:
        return json.loads(phichat("prompt", "--json", *given, stdin=stdin).stdout)["ids"]

    asked = json.loads(phichat("ask", "--json", *arguments, stdin=stdin).stdout)
    assert asked["usage"]["prompt_tokens"] == len(ids(*arguments))
    if arguments[:1] != ["--system"]:
        assert ids(*arguments) == ids(words)


def test_the_last_chat_is_laid_out_as_ask_continues_it(phichat: Phichat) -> None:
    phichat("ask", "One")
    laid_out = json.loads(phichat("prompt", "--json", "--continue", "Two").stdout)
    asked = json.loads(phichat("ask", "--json", "--continue", "Two").stdout)
    assert asked["usage"]["prompt_tokens"] == laid_out["prompt_tokens"]


def test_nothing_to_lay_out_is_said(phichat: Phichat) -> None:
    done = phichat("prompt", stdin="")
    assert (done.returncode, "Give a question, or a picture" in done.stderr) == (2, True)
