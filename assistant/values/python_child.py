"""Python processes that phichat starts: their command and their environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SHORT_WAITS = {"GOMP_SPINCOUNT": "1000"}
"""Turns for which threads of GNU's OpenMP, which PyTorch and numba compute on under Linux, wait for
each other by computing, before they give the processor away. By default they do so for as long as
another program has the other one's core: beside one busy process a token took ten times as long."""
_WAITING = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
"""Variables with which users choose that themselves."""


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
    waits = {} if _WAITING & os.environ.keys() else _SHORT_WAITS
    return {**waits, **os.environ, "PYTHONPATH": os.pathsep.join(paths), **own}
