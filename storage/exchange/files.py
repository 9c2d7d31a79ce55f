"""Files that appear whole or not at all, and never over another one unless that was asked for."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.errors import StorageError
from storage.ids import one_line

_LONGEST = 40


@contextmanager
def appearing(path: Path, *, overwrite: bool, private: bool = False) -> Iterator[Path]:
    """A path to write to; what is there at the end becomes ``path``, nothing after an exception.

    An existing file is replaced only with ``overwrite`` and keeps its mode; a new
    ``private`` one may be read by its owner only. Raises StorageError.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise StorageError(f"{path} is not a file that can be written; give another path.")
    try:
        reserved = _reserve(path, private)
        if not reserved and not overwrite:
            raise StorageError(f"{path} exists already; choose another path, or add --overwrite.")
        done = False
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        os.close(handle)
        unfinished = Path(name)
        try:
            yield unfinished
            _to_disk(unfinished)
            unfinished.chmod(path.stat().st_mode & 0o777)
            unfinished.replace(path)
            done = True
        finally:
            unfinished.unlink(missing_ok=True)
            if reserved and not done:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} can't be written ({error.strerror}); check its folder and the free space."
        ) from error


def in_folder(folder: Path, title: str, session_id: str, suffix: str) -> Path:
    """The path of a session's file in a folder: readable, and safe whatever the title is."""
    words = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", one_line(title))).strip("-_")
    beginning = f"{words[:_LONGEST].rstrip('-_')}-" if words else ""
    return folder / f"{beginning}{session_id}{suffix}"


def _reserve(path: Path, private: bool) -> bool:
    """Take the name, unless it is taken."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
    except FileExistsError:
        return False
    return True


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
