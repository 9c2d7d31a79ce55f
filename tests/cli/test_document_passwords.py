"""Password of a document: asked for on a terminal, never shown or kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench.pseudo_terminal import PseudoTerminal
from tests.conftest import Phichat
from tests.pictures.pdf_files import page, pdf
from tests.wait import read_until

SECRET = "open sesame 7"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.pdf"
    path.write_bytes(pdf(page("red"), password=SECRET))
    return path


def answered(arguments: list[str], *said: tuple[bytes, str]) -> bytes:
    """Run phichat on a terminal, and type a line each time that some words were written."""
    environment = {"PHICHAT_HOME": os.environ["PHICHAT_HOME"]}
    with PseudoTerminal(["-m", "assistant.cli", *arguments], environment) as terminal:
        output = b""
        for words, line in said:
            start = len(output)
            output = read_until(
                terminal.descriptor, lambda text, a=start, w=words: w in text[a:], output
            )
            terminal.write(f"{line}\n".encode())
        return read_until(terminal.descriptor, lambda text: False, output)


def kept() -> bytes:
    home = Path(os.environ["PHICHAT_HOME"])
    return b"".join(one.read_bytes() for one in home.rglob("*") if one.is_file())


def test_ask_and_prompt_ask_until_it_opens(secret: Path) -> None:
    output = answered(
        ["prompt", "-i", str(secret), "What is it?"],
        (b"Password of secret.pdf", "wrong"),
        (b"Password of secret.pdf", SECRET),
    )
    assert b"of 8,192 tokens" in output
    assert SECRET.encode() not in output + kept()


def test_enter_alone_gives_up(secret: Path) -> None:
    output = answered(["prompt", "-i", str(secret), "Hi"], (b"Password of secret.pdf", ""))
    assert b"secret.pdf needs a password: " in output


@pytest.mark.slow
def test_a_batch_asks_before_it_begins_and_once(secret: Path, tmp_path: Path) -> None:
    (tmp_path / "two.pdf").write_bytes(pdf(page("blue"), password=SECRET))
    output = answered(
        ["batch", "--model", "demo", "--max-new-tokens", "2", "What is it?", str(tmp_path)],
        (b"Password of secret.pdf", SECRET),
    )
    assert output.count(b"Password of") == 1
    assert output.count(b'"text"') == 2
    assert SECRET.encode() not in output + kept()


def test_the_plain_chat_asks(secret: Path) -> None:
    output = answered(
        ["chat", "--plain", "--model", "demo", str(secret)],
        (b"Password of secret.pdf", SECRET),
        (b"Attached: secret.pdf", "/quit"),
    )
    assert SECRET.encode() not in output + kept()


def test_a_pipe_is_not_asked(secret: Path, phichat: Phichat) -> None:
    done = phichat("prompt", "-i", str(secret), "Hi")
    assert done.returncode == 1
    assert done.stderr.startswith("secret.pdf needs a password: ")
