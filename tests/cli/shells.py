"""Real interactive shells in a pseudo-terminal, for what completion makes of a line."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from assistant.cli.completion_scripts import SHELLS, VARIABLE
from assistant.cli.root_command import cli
from tests.wait import read_until

_START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_SETUP = {
    "bash": "PS1='READ''Y$ '; source {script}",
    "zsh": "PROMPT='READ''Y$ '; bindkey -e; autoload -U compinit && compinit -D; source {script}",
    "fish": "function fish_prompt; echo 'READ''Y$ '; end; source {script}",
}

_TERMINAL = {"bash": "dumb", "zsh": "dumb", "fish": "xterm"}
"""fish lists what it offers on terminals that it can draw on."""


class Shell:
    """One shell with phichat's completion loaded, in ``folder``."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed here")
        script = folder / f"completion.{name}"
        script.write_text(SHELLS[name](cli, {}, "phichat", VARIABLE).source())
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve(found, _START[name], {**environment, "TERM": _TERMINAL[name]})
        self._written = ""
        self.run(_SETUP[name].format(script=script))

    def complete(self, line: str) -> list[str]:
        """Type ``line``, press tab; the words that the shell then has."""
        answer = self.run(f"{line}\t\x05 END\x01printf '<%s>' BEGIN ", wait_for="<END>")
        return re.findall("<(.*?)>", answer[answer.rindex("<BEGIN>") :])[1:-1]

    def offered(self, line: str, wait_for: str) -> str:
        """Type ``line``, press tab twice; what the shell then shows, up to ``wait_for``."""
        os.write(self._terminal, f"{line}\t\t".encode())
        shown = self._read_until(wait_for)
        os.write(self._terminal, b"\x03")
        return shown

    def run(self, line: str, wait_for: str = "") -> str:
        """Run a line; what it writes until the mark behind it."""
        os.write(self._terminal, f"{line}\r".encode())
        return self._read_until(wait_for or r"READY\$ ")

    def _read_until(self, pattern: str) -> str:
        written = read_until(
            self._terminal, lambda text: re.search(pattern, text.decode(errors="replace"))
        )
        return written.decode(errors="replace")

    def close(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
