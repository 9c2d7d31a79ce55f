"""``phichat`` itself in a real terminal: tmux, the demo model in its worker, pictures on disk."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.e2e.drawings import draw
from tests.wait import wait_until


class Terminal:
    """A tmux server of its own with one window of 100 x 40."""

    def __init__(self, home: Path) -> None:
        self._socket = str(home / "tmux")
        self.home = home
        variables = {"PHICHAT_HOME": str(home), "PHICHAT_KEEP_ALIVE": "0", "LC_ALL": "C.UTF-8"}
        named = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        # The app is started in a plain shell, and left for it, as at home; what pytest says of
        # its own terminal's size is not so here.
        size = ("-x", "100", "-y", "40")
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            *size,
            *named,
            "unset COLUMNS LINES; PS1='ready$ ' sh",
        )

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text, as fast as a terminal gives it."""
        self._tmux("send-keys", "-l", text)

    def drop(self, text: str) -> None:
        """Drop a file as a terminal does: by a bracketed paste."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p")

    def shown(self) -> str:
        """The screen, line by line."""
        return self._tmux("capture-pane", "-p")

    def sees(self, *words: str) -> str:
        """Wait until all ``words`` are on the screen."""

        def with_words() -> str:
            shown = self.shown()
            return shown if all(word in shown for word in words) else ""

        return wait_until(with_words, words, self.shown)

    def start(self, *arguments: str) -> None:
        """Run phichat in the shell."""
        command = [sys.executable, "-m", "assistant.cli", *arguments]
        self.type(f"cd {shlex.quote(str(Path.cwd()))} && clear && {shlex.join(command)}")
        self.press("Enter")

    def close(self) -> None:
        """End it and all that runs in it."""
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux here")
    opened = Terminal(tmp_path_factory.mktemp("t"))
    yield opened
    opened.close()


@pytest.mark.slow
def test_attach_ask_follow_up_quit_resume(terminal: Terminal) -> None:
    one, two = draw(950_000, terminal.home), draw(950_001, terminal.home)
    terminal.sees("ready$")
    terminal.start()
    terminal.sees("Talk about pictures.", "Stay with the demo model")

    terminal.drop(f"'{one.path}' ")
    terminal.sees(f"#1 {one.path.name}", "tokens ✕")
    terminal.type("What colour is the shape?")
    terminal.press("Enter")
    terminal.sees(f"Picture 1 · {one.path.name}", f"It is {one.colour}.", "enter sends")

    terminal.type("And what shape is it?")
    terminal.press("Enter")
    terminal.sees("And what shape is it?", f"It is a {one.shape}.", "enter sends")

    terminal.type(f"/attach {two.path}")
    terminal.press("Enter")
    terminal.sees(f"#2 {two.path.name}", "41 tokens")
    terminal.type("Not sent yet")
    terminal.sees("Not sent yet")
    terminal.press("C-q")
    left = terminal.sees("ready$")
    assert "Talk about" not in left, "the terminal is as it was before"
    assert "Traceback" not in left

    terminal.start("-c")
    terminal.sees("And what shape is it?", "Not sent yet", f"#2 {two.path.name}")
    terminal.press("C-u")
    terminal.type("Which shape do you see here?")
    terminal.press("Enter")
    terminal.sees(f"Picture 2 · {two.path.name}", two.shape, "enter sends")
    terminal.press("C-q")
    terminal.sees("ready$")


def worker_of(terminal: Terminal) -> int:
    """Return the process id of the worker that a terminal shares."""
    (file,) = (terminal.home / "run").glob("worker-*.pid")
    return int(file.read_text().split()[0])


@pytest.mark.slow
def test_f5_starts_a_frozen_worker_again(terminal: Terminal) -> None:
    terminal.sees("ready$")
    terminal.start("chat", "--model", "demo")
    terminal.sees("● demo model")
    frozen = worker_of(terminal)
    os.kill(frozen, signal.SIGSTOP)
    try:
        terminal.press("F5")
        terminal.sees("r starts it again")
        terminal.press("r")
        terminal.sees("Starting")
        terminal.press("Escape")
        terminal.sees("● demo model")
        wait_until(lambda: not Path(f"/proc/{frozen}").exists(), "the end of the frozen worker")
        terminal.type("Hello")
        terminal.press("Enter")
        terminal.sees("You", "Hello", "enter sends")
    finally:
        with suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGKILL)


@pytest.mark.slow
def test_leaving_does_not_wait_for_a_program_that_holds_the_database(terminal: Terminal) -> None:
    """The unsaved message stands in a file, which the last words name."""
    terminal.sees("ready$")
    terminal.start("chat", "--model", "demo")
    terminal.sees("● demo model")
    file = terminal.home / "phichat.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        terminal.type("never sent")
        terminal.sees("never sent")
        terminal.press("C-q")
        left = terminal.sees("ready$", "1 unsent message could not be saved in time")
        other.execute("ROLLBACK")
    assert "Talk about" not in left
    (message,) = terminal.home.glob("unsaved-*/message.txt")
    assert message.read_text() == "never sent\n"
    terminal.start("chat", "--model", "demo")
    terminal.sees("never sent")
