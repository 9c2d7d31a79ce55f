"""Copying text with the clipboard tool of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

TIMEOUT_S = 3.0


TMUX = "tmux"


def copy(text: str, environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Put ``text`` into the clipboard; the tool that said that it is there, "" without one.

    Without a tool the terminal's own way (OSC 52) is left, which is never
    acknowledged.
    """
    for program, *arguments in _tools(environ, platform):
        path = shutil.which(program, path=environ.get("PATH"))
        if path is not None and _run([path, *arguments], text):
            return program
    return ""


def _tools(environ: Mapping[str, str], platform: str) -> Iterator[list[str]]:
    # Over ssh, a clipboard without a display is that of the remote machine.
    remote = bool(environ.get("SSH_CONNECTION"))
    if platform == "darwin" and not remote:
        yield ["pbcopy"]
    if environ.get("WAYLAND_DISPLAY"):
        yield ["wl-copy"]
    if environ.get("DISPLAY"):
        yield ["xclip", "-selection", "clipboard", "-in"]
    if (platform == "win32" or environ.get("WSL_DISTRO_NAME")) and not remote:
        yield ["clip.exe"]
    if environ.get("TMUX"):
        # As it comes, tmux drops OSC 52 of a pane. -w (3.2) reaches its terminals, too.
        yield [TMUX, "load-buffer", "-w", "-"]
        yield [TMUX, "load-buffer", "-"]


def _run(command: list[str], text: str) -> bool:
    # clip.exe takes UTF-16 for what it is, and UTF-8 for the machine's old code page.
    data = text.encode("utf-16" if command[0].endswith("clip.exe") else "utf-8", "replace")
    try:
        # Nothing is captured: xclip stays behind with its output open, to serve the clipboard.
        done = subprocess.run(
            command,
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
