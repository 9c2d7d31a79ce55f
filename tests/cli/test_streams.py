"""Standard streams as a shell can leave them: closed, full, no text, no terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from storage.store import Store
from tests.conftest import ROOT

FULL = "Standard output can't be written (No space left on device): make room, or choose another "


def sh(line: str) -> tuple[int, str, str]:
    """Run a line in bash, in which ``phichat`` is ours."""
    function = f'phichat() {{ "{sys.executable}" -m assistant.cli "$@"; }}'
    done = subprocess.run(
        ["bash", "-c", f"{function}\n{line}"], capture_output=True, cwd=ROOT, env=os.environ
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["--version", "config show", "config path --json"])
def test_a_full_disk_behind_standard_output(command: str) -> None:
    assert sh(f"phichat {command} > /dev/full") == (1, "", f"{FULL}place.\n")
    assert sh(f"phichat {command} > /dev/full 2>&1") == (1, "", "")


def test_closed_streams_are_empty() -> None:
    assert sh("phichat config path >&-") == (0, "", "")
    code, _, stderr = sh("phichat ask - <&-")
    assert (code, stderr) == (2, "Give a question, or a picture with -i; see: phichat ask --help\n")
    assert sh("phichat sessions import - <&-")[0] == 1
    assert sh("phichat ask -i nothing.png x 2>&-") == (1, "", "")


def test_a_closed_stream_is_not_the_databases_number() -> None:
    """Else what is printed would be written into it."""
    code, stdout, stderr = sh("phichat sessions list <&- >&- 2>&- ; phichat sessions list --json")
    assert (code, json.loads(stdout), stderr) == (0, [], "")


def test_a_reader_that_has_enough() -> None:
    assert sh("phichat config show | head -1; exit ${PIPESTATUS[0]}")[2] == ""


@pytest.mark.parametrize(
    "command",
    [
        "ask $'\\xff'",
        "ask --system $'\\xff' x",
        "prompt $'\\xff'",
        "sessions search $'\\xff'",
        "sessions show $'\\xff'",
        "config set system $'\\xff'",
    ],
)
def test_words_that_are_no_text(command: str) -> None:
    code, stdout, stderr = sh(f"phichat {command}")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("Invalid value for ")
    assert stderr.count("\n") == 1
    assert "it is not UTF-8 text; see: phichat " in stderr


def test_a_variable_that_is_no_text() -> None:
    code, _, stderr = sh("PHICHAT_SYSTEM=$'\\xff' phichat config show")
    assert (code, stderr) == (1, 'system must be text, not "\ufffd" (PHICHAT_SYSTEM).\n')


def test_words_are_read_where_the_language_is_ascii() -> None:
    ascii_only = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    assert sh(f"{ascii_only} phichat config set system 'Größe 😀'") == (0, "", "")
    shown = json.loads(sh("phichat config show --json")[1])
    assert shown["settings"]["system"]["value"] == "Größe 😀"


def test_the_app_needs_a_terminal() -> None:
    said = "The app needs a terminal, and this is none: phichat ask answers without one.\n"
    assert sh("phichat < /dev/null") == (1, "", said)
    assert sh("phichat chat a.png < /dev/null | cat")[2] == said


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        (b"\x03", 130, "Stopped."),  # ctrl-C
        (b"\x04", 1, "No answer came, so nothing was deleted: add --yes."),  # the end of the input
        (b"n\n", 1, "Nothing was deleted."),
    ],
)
def test_a_question_that_is_not_answered_with_yes(key: bytes, code: int, said: str) -> None:
    location = Path(load_settings().store_location)
    location.parent.mkdir(parents=True)
    with closing(Store.open(str(location))) as store:
        session_id, _ = store.add_user_turn(None, Draft("Hello"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        command = [sys.executable, "-m", "assistant.cli", "sessions", "delete", session_id]
        os.execve(sys.executable, command, dict(os.environ))
    written, sent = b"", 0
    try:
        with suppress(OSError):  # Linux' way of telling the end
            while True:
                # once more: Python can miss a signal that comes just before it waits for a key
                if b"[y/N]" in written and not select.select([terminal], [], [], 1)[0]:
                    os.write(terminal, key)
                    sent += 1
                if not (piece := os.read(terminal, 65536)):
                    break
                written += piece
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
    ended = os.waitstatus_to_exitcode(status)
    # a second ctrl-C, while Python ends, ends it at once: a shell shows 130 either way
    assert ended == code or (sent > 1 and ended == -signal.SIGINT)
    assert said in written.decode().splitlines()  # a key that was sent once more may come after it


def test_a_fetch_is_shown_on_a_terminal_and_leaves_no_trace(picture_url: str) -> None:
    """Its line is gone when the next one comes: here the refusal of a web page."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "assistant.cli", "ask", "-i", f"{picture_url}/", "x"]
    with subprocess.Popen(command, cwd=ROOT, stderr=inner) as ask:
        os.close(inner)
        said = b""
        with suppress(OSError):
            while piece := os.read(outer, 65536):
                said += piece
        os.close(outer)
    assert ask.returncode == 1
    *lines, last = said.decode().split("\r\x1b[K")
    assert any(line.startswith(("Fetching the picture…", "Opening the picture…")) for line in lines)
    assert "is not a picture that can be opened (it is a web page)" in last
