"""Commands that the tests fork, compared with processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli_server import CliServer
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "show"),
        ("sessions", "show", "nope"),
        ("sessions", "list", "--limit", "x"),
        ("prompt", "--json", "-"),
    ],
    ids=lambda arguments: arguments[0] + arguments[-1],
)
def test_a_fork_ends_like_a_process(cli_server: CliServer, arguments: tuple[str, ...]) -> None:
    environment = {**os.environ, "PHICHAT_NUM_CROPS": "3", "PHICHAT_MODEL": "nowhere"}
    process = subprocess.run(
        [sys.executable, "-m", "assistant.cli", *arguments],
        input="Hí",
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    forked = cli_server.run(arguments, environment, "Hí")
    for kind in ("returncode", "stdout", "stderr"):
        assert getattr(forked, kind) == getattr(process, kind)


def test_variables_of_the_interpreter_are_read(cli_server: CliServer) -> None:
    asked = cli_server.run(("--version",), {**os.environ, "PYTHONVERBOSE": "1"}, "")
    assert "import 'assistant.cli" in asked.stderr
