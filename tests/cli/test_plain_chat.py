"""``phichat chat --plain``: lines in, lines out, and nothing that a screen reader stumbles over."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from assistant.cli.plain_chat import PlainChat
from assistant.values.conversation import FinishReason
from tests.conftest import GOLDENS, Phichat
from tests.engine.conftest import MakeEngine
from tests.wait import wait_until

SQUARE = GOLDENS / "images" / "sq336.png"


def said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    chat: PlainChat,
    *lines: str,
) -> list[str]:
    """Type these lines; returns the lines that are printed."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as typed:
        typed.write("".join(f"{line}\n" for line in lines))
    with os.fdopen(read) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        chat.run()
    return capsys.readouterr().out.splitlines()


def test_a_conversation_in_lines(phichat: Phichat, tmp_path: Path) -> None:
    typed = "\n".join(
        ["/help", f"/attach {SQUARE}", "What is \\", "this?", "/context", "/retry", "/version",
         "/chats", f"/export {tmp_path}/talk.md", "/attach none.png", "/nothing",
         "/show 1", "/quit", "never"]
    )  # fmt: skip
    done = phichat("chat", "--plain", stdin=typed)
    assert done.returncode == 0, done.stderr
    for words in (
        "Attached: sq336.png, 336 by 336 pixels, ",
        "Looking at the pictures.",
        "The reply reached the longest length. /continue lets it go on.",
        "Version 1 of 2:",
        ", 2 turns, 1 picture, open",
        "Error: There is no file none.png",
        "There is no command /nothing.",
        "picture 1  sq336.png",
    ):
        assert words in done.stdout, words
    assert "> this?" in (tmp_path / "talk.md").read_text(encoding="utf-8")
    assert "never" not in done.stdout
    assert not [one for one in done.stdout if one < " " and one != "\n"], "no control characters"
    assert not [one for one in done.stdout if "\u2500" <= one <= "\u25ff"], "no boxes, no bars"


def test_sentences_come_whole_and_a_picture_goes_with_the_next_message(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, core = make(["One star. It is 2.5 cm\x1b[31m wide!\nAnd red"])
    lines = said(
        monkeypatch, capsys, PlainChat(engine),
        f"/attach {SQUARE}", "/attach", "/off 1", f"/attach {SQUARE}", "Hello", "/chats",
    )  # fmt: skip
    at = lines.index("scripted: One star.")
    assert lines[at + 1].startswith("It is 2.5 cm")
    assert lines[at + 1].endswith("wide!")
    assert "\x1b" not in lines[at + 1]
    assert lines[at + 2] == "And red"
    assert len(core.prompts[0].slots) == 1
    assert "You: Taken off: sq336.png." in lines


def test_system_schema_and_other_chats(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, core = make(["Yes."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine),
        "/system Be brief.", "/schema a b c", "/schema shop, n int", "Hello", "/schema", "Again",
        "/rename First", "/new", "Other", "/open First", "/search Hello", "/delete", "/show",
    )  # fmt: skip
    assert any("no type b" in line for line in lines)
    assert '"shop"' in core.samplings[0].schema
    assert core.samplings[1].schema == ""
    assert any("Error:" in line for line in lines), "First is a title, no id"
    (left,) = engine.store.sessions(10)
    assert left.title == "First", "the open chat was deleted"
    assert engine.store.conversation(left.id).system == "Be brief."


def test_stop_is_obeyed_while_a_reply_is_written(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, core = make(["word " * 50], gate=threading.Semaphore(3))
    read, write = os.pipe()

    def type_lines() -> None:
        with os.fdopen(write, "w", buffering=1) as typed:
            typed.write("Hello\n")
            wait_until(lambda: core.prompts)
            typed.write("/stop\n/quit\n")

    typing = threading.Thread(target=type_lines)
    typing.start()
    with os.fdopen(read) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        PlainChat(engine).run()
        typing.join()
    session = engine.store.latest_session()
    assert session is not None
    assert engine.store.conversation(session).turns[-1].finish_reason is FinishReason.STOPPED
    assert "Stopped. /continue lets it go on." in capsys.readouterr().out
