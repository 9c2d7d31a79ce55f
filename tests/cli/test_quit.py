"""The end of the app in a real terminal: at the key that quits, whatever hangs."""

from __future__ import annotations

import os
import pty
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from storage.store import Store
from tests.wait import read_until, wait_until

HANGING = """
import sys, threading
from tui.chat.positions import Places
Places.save = lambda self: threading.Event().wait()
from assistant.cli.root_command import main
sys.argv = ["phichat", "chat", "--model", {folder!r}]
main()
"""


def start(*arguments: str, term: str = "xterm-256color") -> tuple[int, int]:
    """Start Python in a terminal of its own; its process and that terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": term, "COLUMNS": "100", "LINES": "30"}
        os.execv(sys.executable, [sys.executable, *arguments])
    return pid, terminal


def test_a_terminal_that_draws_nothing_is_shown_the_other_way() -> None:
    pid, terminal = start("-m", "assistant.cli", "chat", term="dumb")
    written = read_until(terminal, lambda text: b"chat --plain" in text)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1
    assert b"\x1b" not in written


def stored_draft(tmp_path: Path) -> str | None:
    """Read the draft of the new chat."""
    with closing(Store.open(tmp_path / "home" / "phichat.db")) as store:
        draft = store.draft(None)
    return draft.text if draft else None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_app_as_the_key_does(random_folder: object, name: str) -> None:
    """It left the alternate screen and the mouse's reports behind."""
    pid, terminal = start("-m", "assistant.cli", "chat", "--model", str(random_folder))
    read_until(terminal, lambda text: b"Ask about a picture" in text)
    os.kill(pid, getattr(signal, name))
    written = read_until(terminal, lambda text: b"\x1b[?1000l" in text and b"\x1b[?1049l" in text)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 128 + getattr(signal, name), written[-2000:]


def test_a_terminal_that_is_closed_takes_no_words_along(
    random_folder: object, tmp_path: Path
) -> None:
    """Keys that the app has heard, though it has not stored them yet, are in the draft."""
    pid, terminal = start("-m", "assistant.cli", "chat", "--model", str(random_folder))
    read_until(terminal, lambda text: b"Ask about a picture" in text)
    os.write(terminal, b"half")
    wait_until(lambda: stored_draft(tmp_path) == "half", "the draft")
    os.write(terminal, b" a sentence")
    read_until(terminal, lambda text: b"sentence" in text)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert stored_draft(tmp_path) == "half a sentence"


def test_an_editor_that_is_not_there_gives_the_terminal_back(
    random_folder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app hung for ever: Textual takes the terminal back after a success alone."""
    monkeypatch.setenv("VISUAL", "no-such-editor")
    pid, terminal = start("-m", "assistant.cli", "chat", "--model", str(random_folder))
    read_until(terminal, lambda text: b"Ask about a picture" in text)
    os.write(terminal, b"\x07")
    read_until(terminal, lambda text: b"no-such-editor can't be started" in text)
    os.write(terminal, b"\x11")
    read_until(terminal, lambda text: b"\x1b[?1049l" in text)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_terminal_that_reads_nothing_holds_no_app(random_folder: object) -> None:
    """As after ctrl+s, or where the connection hangs."""
    pid, terminal = start("-m", "assistant.cli", "chat", "--model", str(random_folder))
    read_until(terminal, lambda text: b"Ask about a picture" in text)
    os.write(terminal, b"\x1bOP\x11")  # F1 paints more than a terminal's buffer holds
    ended, status = wait_until(lambda: found if (found := os.waitpid(pid, os.WNOHANG))[0] else None)
    os.close(terminal)
    assert (ended, os.waitstatus_to_exitcode(status)) == (pid, 0)


def test_a_signal_ends_an_app_that_hangs(random_folder: object) -> None:
    program = HANGING.format(folder=str(random_folder)).replace(
        "Places.save = lambda self: ",
        "import os\nfrom tui.app import PhichatApp\n"
        "PhichatApp.action_help = lambda self: os.write(1, b'it hangs') and ",
    )
    pid, terminal = start("-c", program)
    read_until(terminal, lambda text: b"Ask about a picture" in text)
    os.write(terminal, b"\x1bOP")  # F1, which never returns
    read_until(terminal, lambda text: b"it hangs" in text)
    os.kill(pid, signal.SIGTERM)
    ended, _ = wait_until(lambda: found if (found := os.waitpid(pid, os.WNOHANG))[0] else None)
    os.close(terminal)
    assert ended == pid


@pytest.mark.parametrize("keys", [b"\x11", b"\x03\x03"], ids=["ctrl+q", "ctrl+c twice"])
def test_quitting_ends_an_app_that_hangs_and_gives_the_terminal_back(
    random_folder: object, keys: bytes
) -> None:
    pid, terminal = start("-c", HANGING.format(folder=str(random_folder)))
    written = read_until(terminal, lambda text: b"Ask about a picture" in text)
    for key in keys:
        os.write(terminal, bytes([key]))
        if len(keys) > 1 and key == keys[0]:
            written = read_until(terminal, lambda text: b"again quits" in text, written)
    written = read_until(
        terminal, lambda text: b"\x1b[?1000l" in text and b"\x1b[?1049l" in text, written
    )
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, written[-2000:]
