"""Files of model folders, which may be pipes, devices, or anything else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from assistant.values.words import file_size

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_LARGEST = 256 * 2**20
"""Bytes. The largest tokenizer.json in use has about 35 MB."""


def local_path(name: str | Path) -> Path | None:
    """Return the path that the name of a model means, or None where nothing can be found there.

    Unlike pathlib's own tests, takes any text: longer than a path, or below a closed folder.
    """
    path = os.path.expanduser(name)
    return Path(path) if os.path.exists(path) else None


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError at once for a pipe or a device, which might block."""
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is not a file", str(path))
    return open(descriptor, "rb")


def read_small(path: Path) -> bytes:
    """Read a whole file. Raises OSError, also for a file that is too large for JSON."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise OSError(None, f"it is too large ({file_size(size)})", str(path))
        return file.read()
