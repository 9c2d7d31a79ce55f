"""``phichat ask``: the scenarios of the seed document, their JSON, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GOLDENS, ROOT, Phichat

IMAGES = GOLDENS / "images"


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


def test_plain_output_is_the_answer_and_nothing_else(phichat: Phichat) -> None:
    plain = phichat("ask", "--seed", "1", "-", stdin="What is this?\n")
    assert plain.returncode == 0
    assert plain.stderr == ""
    wanted = answer(phichat("ask", "--json", "What is this?"))
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
        _, stderr = ask.communicate(timeout=120)
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask"], "give a question"),
        (["ask", "--session", "a", "--continue", "x"], "exclude each other"),
        (["ask", "--temperature", "hot", "x"], "temperature"),
        (["ask", "--nonsense", "x"], "nonsense"),
        (["nonsense"], "nonsense"),
        (["chat", "--session", "a", "--last"], "exclude each other"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str, phichat: Phichat) -> None:
    done = phichat(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
