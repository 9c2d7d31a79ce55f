"""A newcomer on a bare machine types what README.md and docs/commands.md say: they are the script.

A clone of HEAD, a new HOME, no caches and an environment of five variables. PyPI is the
only thing from outside, as it is for the newcomer.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import GOLDENS, ROOT
from tests.newcomer.readme import commands

NOT_RUN = {
    "python -m pip install --no-build-isolation flash-attn": "needs nvcc; test_install_lines.py "
    "resolves it",
    "make test": "CI runs it; here it would run itself",
    "phichat models pull": "fetches 8.3 GB from the hub; tests/models pulls from a hub of its own",
    "phichat models use microsoft": "needs what that pull fetched; tests/models does it",
    "phichat sessions share": "needs a PostgreSQL database; tests/storage/test_owners.py has one",
    'phichat ask -i bill.jpg --schema "shop': "a text that the demo model makes up has no end",
    'eval "$(phichat completion zsh)"': "a line of ~/.zshrc; tests/cli has zsh read it",
}
"""Beginnings of commands that are in the pages and are not typed here, and why."""

PAGES = (ROOT / "README.md", ROOT / "docs" / "commands.md")
"""Pages whose commands are typed, in this order."""

PICTURES = ("chart.png", "before.png", "after.png", "shot.png", "bill.jpg", "photos/one.png")
"""Files that the pages' examples take for granted."""

SCHEMA = '{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}'
"""Another of them: bill.json."""

SESSION, LAST = "4f2k", "$(phichat sessions list --json | jq -r '.[0].id')"
"""The id of a session in the pages, and what gives that of the last chat."""


def typed_lines() -> list[str]:
    return [line for page in PAGES for line in commands(page)]


def reason(line: str) -> str | None:
    """The reason why a command is not typed, or None."""
    plain = line.removeprefix(".venv/bin/")
    return next((why for start, why in NOT_RUN.items() if plain.startswith(start)), None)


def test_the_commands_come_from_the_pages() -> None:
    lines = typed_lines()
    assert lines[0] == "make TORCH=cpu chat"
    assert sum("phichat ask" in line for line in lines) >= 5
    for start in NOT_RUN:  # nothing is excused that is not there any more
        assert any(line.removeprefix(".venv/bin/").startswith(start) for line in lines), start


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("jq") is None, reason="docs/commands.md pipes into it")
def test_what_the_readme_says_works_in_order(tmp_path: Path) -> None:
    folder, home = tmp_path / "phichat", tmp_path / "newcomer"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    environment = {
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PHICHAT_KEEP_ALIVE": "30",  # the one thing that no newcomer has: no worker outlives this
        **{name: os.environ[name] for name in os.environ if name.startswith("PIP_")},  # mirrors
    }
    (folder / "photos").mkdir()
    (folder / "bill.json").write_text(SCHEMA)
    for name in PICTURES:
        shutil.copy(GOLDENS / "images" / "sq336.png", folder / name)
    (folder / "LICENSE").write_text("a change for git diff\n")
    typed = []
    for line in typed_lines():
        if reason(line) is not None:
            continue
        if line.startswith("make"):
            _to_the_first_screen(_installable(line), folder, environment)
        else:
            done = subprocess.run(
                ["bash", "-c", f"set -o pipefail; {line.replace(SESSION, LAST)}"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            assert done.stdout or re.search(r"-o |> |^mkdir|^source", line), line
            assert "Traceback" not in done.stderr
        typed.append(line)
    assert len(typed) >= 10


def _installable(line: str) -> str:
    """Leave PyTorch's own index out where only PyPI, or a mirror of it, can be reached."""
    try:
        socket.create_connection(("download.pytorch.org", 443), timeout=10).close()
    except OSError:
        return line.replace("TORCH=cpu ", "")
    return line


def _to_the_first_screen(line: str, folder: Path, environment: dict[str, str]) -> None:
    """In a terminal: installs everything, shows the app; ctrl+q leaves it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve("/bin/bash", ["bash", "-c", line], environment)
    written, deadline, has_left = b"", time.monotonic() + 3000, False
    try:
        while True:
            ready, _, _ = select.select([terminal], [], [], 1)
            try:
                written += os.read(terminal, 65536) if ready else b""
            except OSError:  # it ended
                break
            if b"sk about a picture" in written and not has_left:
                os.write(terminal, b"\x11")  # ctrl+q
                has_left = True
            assert time.monotonic() < deadline, written[-2000:]
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(terminal)
    assert has_left, written[-2000:]
    assert os.waitstatus_to_exitcode(status) == 0, written[-2000:]
