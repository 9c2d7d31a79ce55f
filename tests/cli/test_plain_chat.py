"""``phichat chat --plain``: lines in, lines out, and nothing that a screen reader stumbles over."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from assistant.cli.plain_chat import PlainChat
from assistant.cli.plain_commands import COMMANDS
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
        ", 2 messages, 1 picture, open",
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
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
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
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
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


@pytest.mark.parametrize("command", ["/open", "/OPEN", "/op", "/resume"])
def test_another_chat_is_opened_by_the_name_of_the_command(
    make: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    engine, _ = make(["Yes."])
    chat = PlainChat(engine, COMMANDS)
    said(monkeypatch, capsys, chat, "Hello")
    session = engine.store.latest_session()
    lines = said(monkeypatch, capsys, chat, "/new", f"{command} {session}")
    if command == "/resume":  # as in the app it is another name of /chats
        assert any("takes nothing after it" in line for line in lines)
    else:
        assert chat.session_id == session
        assert any("Hello: 2 messages." in line for line in lines)


def test_a_wrong_argument_does_nothing(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, _ = make(["Yes."])
    chat = PlainChat(engine, COMMANDS)
    said(monkeypatch, capsys, chat, "Hello", f"/attach {SQUARE}")
    session = chat.session_id
    assert session is not None
    before = engine.store.conversation(session)
    typed = [f"{one.name} 99" for one in COMMANDS if not one.argument]
    lines = said(monkeypatch, capsys, chat, *typed, "/off x", "/show x", "/export ~nosuch/a.doc")
    assert sum("takes nothing after it" in line for line in lines) == len(typed)
    assert sum("x is no number" in line for line in lines) == 2
    assert (chat.session_id, len(chat.attached)) == (session, 1)
    assert not chat.is_over
    assert engine.store.conversation(session) == before


def test_a_line_with_a_picture_that_can_t_be_opened_does_nothing(
    make: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    engine, core = make(["Yes."])
    chat = PlainChat(engine, COMMANDS)
    broken = tmp_path / "broken.png"
    broken.write_bytes(SQUARE.read_bytes()[:200])
    lines = said(monkeypatch, capsys, chat, f"Is {SQUARE} like {broken}?")
    assert any("Error: broken.png is damaged" in line for line in lines)
    assert not chat.attached
    assert not core.prompts


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
        PlainChat(engine, COMMANDS).run()
        typing.join()
    session = engine.store.latest_session()
    assert session is not None
    assert engine.store.conversation(session).turns[-1].finish_reason is FinishReason.STOPPED
    assert "Stopped. /continue lets it go on." in capsys.readouterr().out


def test_pictures_parts_and_pins(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, core = make(["Yes."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        f"/attach {SQUARE}", "/region 10,20,100,50", "Two?", "/region 1 50%,50%,25%,25%",
        "/region 7 0,0,9,9", "/pin 2", "/show", "/unpin #2", "/pin", "/exclude", "/show",
        "And this?", "/pictures", "/edit How many?", "/pinchat", "/chats",
    )  # fmt: skip
    assert [len(prompt.slots) for prompt in core.prompts] == [2, 1, 1], "excluded, then edited"
    assert any(line.endswith("sq336.png@10,20,100,50, 100 by 50 pixels, pinned") for line in lines)
    assert "You: Error: This chat has no picture 7; look up its number." in lines
    assert "You (left out): Two?" in lines
    (session,) = engine.store.sessions()
    assert session.pinned
    assert f"{session.id}: Two?, 4 messages, 3 pictures, pinned, open" in [
        line.removeprefix("You: ") for line in lines
    ]
    conversation = engine.store.conversation(session.id)
    assert [turn.text for turn in conversation.turns] == ["Two?", "Yes.", "How many?", "Yes."]
    assert conversation.turns[2].pictures[0].region is not None


def test_chats_are_forked_and_brought_back(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, _ = make(["The lamp is red."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        "/undo", "Hello lamp", "/fork", "/delete", "/undo", "/recallall nothing", "/summary",
        "/open nope",
    )  # fmt: skip
    assert "You: Error: There is no chat to bring back." in lines
    assert 'You: Error: There is no chat "nope"; list them with: /chats.' in lines
    assert len(engine.store.sessions()) == 2
    assert any("Error: Nothing that the model does not see already" in line for line in lines)
    assert "You: There is no summary." in lines


def test_each_command_says_what_it_did(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, _ = make(["Yes."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        "/chats", "/pictures", "Hello", "/pictures lamp", "/search lamp", "/rename A lamp",
    )  # fmt: skip
    for words in (
        "There is no chat yet.",
        "No chat has a picture yet.",
        "No picture has these words.",
        "Nothing has these words.",
        "This chat is called A lamp now.",
    ):
        assert f"You: {words}" in lines


def test_commands_have_the_app_s_other_names(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, core = make(["Yes."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        "/title A lamp", "Hello", "/clear", "/models", "quit", "quit", "exit", "/exit", "never",
    )  # fmt: skip
    assert "You: Error: This chat has no message yet." in lines
    assert "You: A new chat." in lines
    assert "You: /quit is the command; the same line again goes to the model." in lines
    assert len(core.prompts) == 2  # "Hello", and "quit" the second time


def test_pictures_that_a_line_names_are_attached(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    other = tmp_path / "other one.png"
    other.write_bytes(SQUARE.read_bytes())
    engine, core = make(["Yes."])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        f"/attach {SQUARE} '{other}'", str(SQUARE), f"What is in {SQUARE} now?",
    )  # fmt: skip
    assert len([line for line in lines if "Attached: " in line]) == 4
    (prompt,) = core.prompts
    assert len(prompt.slots) == 4


@pytest.mark.slow
def test_doubtful_words_are_said_and_a_runner_up_is_followed(phichat: Phichat) -> None:
    typed = "\n".join(["Hello", "/doubts", "/doubts 1 2", "/doubts 1 9", "/doubts x", "/version"])
    done = phichat("chat", "--plain", stdin=typed)
    assert done.returncode == 0, done.stderr
    assert re.search(r"You: 1: “.*” \d+ percent\. 1 “.*” \d+ percent; 2 “", done.stdout)
    assert "There is no such runner-up" in done.stdout
    assert "Give the numbers of a word" in done.stdout
    assert "Version 1 of 2:" in done.stdout


@pytest.mark.slow
def test_another_model_answers_too(phichat: Phichat, random_folder: Path) -> None:
    typed = "\n".join(["Hello", "/compare", f"/compare {random_folder}", "/version"])
    done = phichat("chat", "--plain", stdin=typed)
    assert done.returncode == 0, done.stderr
    assert "Say which model answers too" in done.stdout
    assert "\n/version goes back to the answer before.\n" in done.stdout
    assert "Version 1 of 2:" in done.stdout


def test_a_home_folder_and_a_data_address_are_opened_as_anywhere_else(
    make: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Two slashes in the address stay two."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (1, 1), b"\xff\xff\xff").save(buffer, "BMP")
    address = f"data:image/bmp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    assert "//" in address
    (tmp_path / "at home.png").write_bytes(SQUARE.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    engine, _ = make([])
    lines = said(
        monkeypatch, capsys, PlainChat(engine, COMMANDS),
        f"/attach {address}", "/attach ~/at home.png",
    )  # fmt: skip
    assert not any("Error" in line for line in lines), lines
    assert any("at home.png, 336 by 336 pixels" in line for line in lines)
