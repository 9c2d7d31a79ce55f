"""Ctrl-C while the command line is still being imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

INTERRUPTED = """\
import os, signal, sys

MODULE = sys.argv.pop(1)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, signal.default_int_handler)
from {module} import {function}
{function}()
"""
"""A start of the script that ctrl-C meets while the module of the first word is being imported."""


@pytest.mark.parametrize(
    "module",
    [
        "click",
        "assistant.cli.root_command",
        "assistant.cli.common",
        "assistant.cli.errors",
        "assistant.cli.config",
        "assistant.settings.load",
        "assistant.pictures.dropped",
        "assistant.cli.completion_scripts",
    ],
)
def test_ctrl_c_in_an_import_ends_in_a_word(module: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    place, function = project["scripts"]["phichat"].split(":")
    words = {
        "assistant.pictures.dropped": ["nothing.png"],
        "assistant.cli.completion_scripts": ["completion", "bash"],
    }.get(module, ["config", "show"])
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=place, function=function), module, *words],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "Stopped."
