"""Files that a decoder process writes for programs: they are copies of users' pictures."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def beginning(pid: int) -> str:
    """Return how the names of a decoder process's files begin."""
    return f"phichat-{pid}-"


def remove(pid: int) -> None:
    """Remove what a decoder process left that was ended in the middle of a picture."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{beginning(pid)}*"):
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
