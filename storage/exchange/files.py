"""Atomic writes of files: whole or not at all, and never over another file unasked."""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from assistant.values.errors import StorageError
from storage.ids import title_of

_LONGEST = 40


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a path to write to: the file becomes ``path`` at the end, unless there is an exception.

    An existing file is replaced only with ``overwrite`` and keeps its mode; a new one may be read
    by its owner only. Raises StorageError.
    """
    path = Path(os.path.realpath(path))
    taken = StorageError(f"{path} exists already; choose another path, or add --overwrite.")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise StorageError(f"{path} is not a file that can be written; give another path.")
        if os.path.exists(path) and not overwrite:
            raise taken
        unfinished = _beside(path)
        try:
            yield unfinished
            _to_disk(unfinished)
            if overwrite:
                if os.path.exists(path):
                    unfinished.chmod(path.stat().st_mode & 0o777)
                unfinished.replace(path)
            elif not _is_named(unfinished, path):
                raise taken
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} can't be written ({error.strerror}); check its folder and the free space."
        ) from error


def in_folder(folder: Path, title: str, session_id: str, suffix: str) -> Path:
    """Make the path of a session's file in a folder: readable, and safe for every title."""
    words = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", title_of(title))).strip("-_")
    beginning = f"{words[:_LONGEST].rstrip('-_')}-" if words else ""
    return folder / f"{beginning}{session_id}{suffix}"


def free_name(path: Path) -> Path:
    """Return a path that no file has: this one, else with a number."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(one for one in chain([path], numbered) if not os.path.lexists(one))


def _beside(path: Path) -> Path:
    """Create a new empty file in the same folder."""
    new = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return new


def _is_named(unfinished: Path, path: Path) -> bool:
    """Give a file its name; False when another file took it meanwhile."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    except OSError:  # a file system that knows no links
        if os.path.exists(path):
            return False
        unfinished.replace(path)
    return True


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
