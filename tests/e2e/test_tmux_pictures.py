"""Pictures through a real tmux, with terminals played by this process attached to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.drawings import draw
from tests.e2e.test_tmux import Terminal
from tests.wait import wait_until
from tui.terminal.graphics import PLACEHOLDER

UPLOAD = re.compile(rb"\x1b_Gi=(\d+),f=100,q=2,m=[01];[A-Za-z0-9+/=]+\x1b\\")
CELL = re.compile(r"38;5;(\d+)[\d;]*m(?:\x1b\[[\d;]*m)*" + PLACEHOLDER)
OLDEST = (3, 3)
"""The first tmux that asks whether anything may pass it."""


class Played:
    """A terminal that is attached to tmux and says that it is ``name``."""

    def __init__(self, socket: Path, name: bytes) -> None:
        self.written = b""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 900, 720))
            os.environ["TERM"] = "xterm-256color"
            os.environ.pop("TMUX", None)
            os.execvp("tmux", ["tmux", "-S", str(socket), "attach"])
        self._answer = b"\x1bP>|" + name + b"\x1b\\" if name else b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        unanswered = b""
        while True:
            try:
                piece = os.read(self._terminal, 65536)
            except OSError:
                return
            if not piece:
                return
            self.written += piece
            unanswered += piece
            if b"\x1b[>q" in unanswered:
                os.write(self._terminal, self._answer)
                unanswered = b""

    def leave(self) -> None:
        """Detach, as a window that is closed does."""
        os.kill(self._pid, signal.SIGHUP)
        os.waitpid(self._pid, 0)
        self._reader.join()
        os.close(self._terminal)


def attached(terminal: Terminal, name: str) -> Played:
    """Attach a terminal and wait until tmux knows it by name."""
    played = Played(terminal.home / "tmux", name.encode())
    wait_until(lambda: name in terminal._tmux("list-clients", "-F", "#{client_termtype}"), name)
    return played


def version() -> tuple[int, ...]:
    if shutil.which("tmux") is None:
        return ()
    said = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)))


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    if version() < OLDEST:
        pytest.skip("there is no tmux here that passes pictures on when it is allowed to")
    opened = Terminal(tmp_path_factory.mktemp("t"))
    yield opened
    opened.close()


@pytest.mark.slow
def test_terminals_attach_and_leave(terminal: Terminal) -> None:
    drawn = draw(950_000, terminal.home)
    terminal._tmux("set", "-g", "allow-passthrough", "on")
    terminal.sees("ready$")
    first = attached(terminal, "kitty(0.41.1)")
    terminal.start("chat", "--model", "demo", str(drawn.path))
    terminal.sees(f"#1 {drawn.path.name}", "41 tokens")
    terminal.type("What colour is the shape?")
    terminal.press("Enter")
    terminal.sees(f"Picture 1 · {drawn.path.name}", f"It is {drawn.colour}.")

    def has_last_picture(played: Played) -> bool:
        """Say whether the cells on the screen are of a picture that this terminal got."""
        screen = terminal._tmux("capture-pane", "-p", "-e")
        numbers = {int(number) for number in UPLOAD.findall(played.written)}
        colours = {int(found) for found in CELL.findall(screen)}
        return bool(colours) and colours <= {number & 255 for number in numbers}

    wait_until(lambda: has_last_picture(first), "the picture", terminal.shown)
    assert "▀" not in terminal.shown()

    other = attached(terminal, "")
    wait_until(lambda: "▀" in terminal.shown(), "half blocks for both", terminal.shown)
    assert PLACEHOLDER not in terminal.shown()
    assert b"\x1b_G" not in other.written
    other.leave()
    wait_until(lambda: has_last_picture(first), "the picture again", terminal.shown)

    first.leave()
    second = attached(terminal, "ghostty 1.1.3")
    wait_until(lambda: has_last_picture(second), "the picture for the next", terminal.shown)

    terminal.press("C-q")
    terminal.sees("ready$")
    wait_until(lambda: b"\x1b_Ga=d,d=I" in second.written, "that the picture was freed")
    second.leave()


@pytest.mark.slow
def test_nothing_passes_where_it_is_not_allowed(terminal: Terminal) -> None:
    drawn = draw(950_000, terminal.home)
    terminal.sees("ready$")
    kitty = attached(terminal, "kitty(0.41.1)")
    terminal.start("chat", "--model", "demo", str(drawn.path))
    terminal.sees(f"#1 {drawn.path.name}", "41 tokens")
    terminal.type("What colour is the shape?")
    terminal.press("Enter")
    terminal.sees(f"Picture 1 · {drawn.path.name}", "▀")
    assert PLACEHOLDER not in terminal.shown()
    terminal.press("C-q")
    terminal.sees("ready$")
    kitty.leave()
    assert b"\x1b_G" not in kitty.written
