"""Python processes that phichat starts: their command and their environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module; no file of the current folder is imported."""
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def environment(**own: str) -> dict[str, str]:
    """Return this process's environment with ``own`` variables, in which phichat is found.

    Paths in it are absolute, because the process may be started in another folder.
    """
    root = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [root, *(os.path.abspath(path) for path in given if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **own}
