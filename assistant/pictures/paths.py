"""Picture files by path; pipes and devices are refused, because reading them may hang."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from assistant.pictures import names
from assistant.pictures.decode import MAX_BYTES, too_large
from assistant.pictures.path_forms import existing, is_windows_path
from assistant.values.errors import PictureError
from assistant.values.words import counted

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def read_path(path: str | Path) -> tuple[bytes, str]:
    """Read a file by its path (``~`` is the home folder) or ``file:`` address.

    Returns its bytes and its name as shown. Never waits: pipes and devices are refused. Raises
    PictureError.
    """
    if not str(path).strip():
        raise PictureError("No picture was named; give a path or an address.")
    found = to_path(path) if isinstance(path, str) else os.path.expanduser(path)
    return _read(found, names.shown(str(path))), names.from_path(found)


def to_path(text: str) -> str:
    """Return the path that a user typed or a ``file:`` address names; raises PictureError."""
    if text.lower().startswith("file:"):
        parts = urlsplit(text)
        share = unquote(text[len("file:") :])
        if is_windows_path(share) and (found := existing(share)):
            return found
        if parts.netloc not in ("", "localhost"):
            raise PictureError(
                f"{names.shown(text)} is a file on another machine; copy it to this one first."
            )
        # "?" and "#" belong to the name here when they come unescaped.
        rest = text[len("file:") :]
        path = unquote(rest.removeprefix("//").removeprefix(parts.netloc), errors="surrogateescape")
        return existing(path) or existing(path.removeprefix("/")) or path
    if found := existing(text):
        return found
    if _SCHEME.match(text):
        raise PictureError(
            f"{names.url_shown(text)} can't be fetched; "
            "give a file, or an address that begins with http:// or https://."
        )
    path = os.path.expanduser(text)
    return existing(path) or existing(path.strip()) or path


def checked_path(path: str) -> str:
    """Return the whole path of a file that is there and may be read, or raise PictureError."""
    found, label = os.path.abspath(to_path(path)), names.shown(path)
    with _explained(found, label):
        _must_be_file(os.stat(found), label)
        os.close(os.open(found, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    return found


def _read(path: str, label: str) -> bytes:
    with _explained(path, label):
        # Checked before it is opened, because opening a device can act upon it.
        _must_be_file(os.stat(path), label)
        # Opened without blocking, because a pipe may have replaced the file meanwhile.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _must_be_file(found, label)
            if found.st_size > MAX_BYTES:
                raise too_large(label)
            # One byte more than allowed detects a file that grows while it is read.
            return file.read(MAX_BYTES + 1)


@contextmanager
def _explained(path: str, label: str) -> Iterator[None]:
    """Turn what the system says about a file into one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise _missing(path, label) from None
    except PermissionError:
        raise PictureError(f"{label} may not be read; check its permissions.") from None
    except ValueError:
        raise PictureError(f"{label} is not a path; check it for stray characters.") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP):
            raise PictureError(f"There is no file {label}; check the path.") from None
        raise PictureError(
            f"{label} can't be read ({error.strerror or error}); check the disk it is on."
        ) from error


def _missing(path: str, label: str) -> PictureError:
    if "*" not in path and "?" not in path:
        return PictureError(f"There is no file {label}; check the path.")
    if not (found := len(glob.glob(path))):
        return PictureError(f"No file matches {label}; check the folder and the pattern.")
    files = counted(found, "file")
    return PictureError(f"{label} is a pattern that matches {files}; give each by its name.")


def _must_be_file(found: os.stat_result, label: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise PictureError(f"{label} is a folder; give one picture file in it.")
    if not stat.S_ISREG(found.st_mode):
        raise PictureError(f"{label} is a pipe or a device; give a picture file.")
