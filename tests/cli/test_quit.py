"""The end of the app in a real terminal: at the key that quits, whatever hangs."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from tests.wait import read_until

HANGING = """
import sys, threading
from tui.chat.positions import Places
Places.save = lambda self: threading.Event().wait()
from assistant.cli.root_command import main
sys.argv = ["phichat", "chat", "--model", {folder!r}]
main()
"""


@pytest.mark.parametrize("keys", [b"\x11", b"\x03\x03"], ids=["ctrl+q", "ctrl+c twice"])
def test_quitting_ends_an_app_that_hangs_and_gives_the_terminal_back(
    random_folder: object, keys: bytes
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        program = HANGING.format(folder=str(random_folder))
        os.execv(sys.executable, [sys.executable, "-c", program])
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
