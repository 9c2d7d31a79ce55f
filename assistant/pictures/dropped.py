"""Recognition of dropped files in what a terminal pastes."""

from __future__ import annotations

import os
import re
import shlex
import stat
from urllib.parse import urlsplit

from assistant.pictures.paths import to_path
from assistant.values.errors import PictureError

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".avif"}
)
"""Suffixes of picture files, in lower case."""

_ESCAPED = re.compile(r"\\([$`])")
_LONGEST_TEXT = 65_536
_MOST = 100


def parse_dropped(text: str) -> list[str]:
    """Return the pictures named by a paste, to be opened one by one; empty for ordinary text.

    Understands several paths at once, quoted (``'a b.png'``, ``"a b.png"``) or with backslashes
    (``a\\ b.png``), ``file:`` addresses, one to a line or in a row, and http(s) addresses with a
    picture's suffix. Every part must name an existing file: one with a picture's suffix, or any
    file if its path is absolute, as that of a dropped file always is. Returned paths are absolute.
    """
    text = text.strip("\r\n")
    if not text.strip() or len(text) > _LONGEST_TEXT:
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    for found in (_literal([text]), _words(text), _literal(lines)):
        if found:
            return found
    by_line = [_literal([line]) or _words(line) for line in lines]
    return [one for line in by_line for one in line] if all(by_line) else []


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without its partner
        return []
    # Between double quotes a shell takes "\\$" for "$"; shlex keeps the backslash.
    return _literal(words) or _literal([_ESCAPED.sub(r"\1", word) for word in words])


def _literal(parts: list[str]) -> list[str]:
    """Return what each part names; empty unless every one names a picture."""
    found = []
    for part in parts[: _MOST + 1]:
        # A name may begin or end with a space; a paste more often does.
        source = _source(part) or _source(part.strip())
        if source is None:
            return []
        found.append(source)
    return found if len(found) <= _MOST else []


def _source(part: str) -> str | None:
    if part.lower().startswith(("http://", "https://")):
        return part if _is_picture_url(part) else None
    if _is_file(part) and (os.path.isabs(part) or _has_suffix(part)):
        return os.path.join(os.getcwd(), part)
    if not part.lower().startswith(("file:", "~")):
        return None
    try:
        path = to_path(part)
    except PictureError:
        return None
    return path if os.path.isabs(path) and _is_file(path) else None


def _is_picture_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.hostname) and not any(c.isspace() for c in text) and _has_suffix(parts.path)


def _has_suffix(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
