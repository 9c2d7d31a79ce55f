"""Paths as people and other systems write them: other spaces and accents, Windows paths in WSL."""

from __future__ import annotations

import os
import re
import unicodedata

_DRIVES = ("/mnt", "/")
"""Folders that may hold the drives of Windows: WSL's usual one, and its ``automount.root = /``."""

_DRIVE = re.compile(r"([A-Za-z]):[\\/]+(.*)", re.DOTALL)
_SHARE = re.compile(r"[\\/]{2}wsl(?:\$|\.localhost)[\\/][^\\/]+(.*)", re.DOTALL | re.IGNORECASE)
"""A file of a Linux system as Windows sees it."""


def is_windows_path(text: str) -> bool:
    """Say whether a text is written like an absolute path of Windows."""
    return bool(_DRIVE.match(text) or _SHARE.match(text))


def existing(path: str) -> str | None:
    """Return the file or folder that ``path`` means; None where there is none.

    A copied path may begin with an invisible mark of direction.
    """
    if not path or "\0" in path:
        return None
    bare = path.lstrip("\u200e\u200f\u202a\u202b\u202d\ufeff")
    for candidate in (path, bare, *_from_windows(bare)):
        if candidate and os.path.lexists(candidate):
            return candidate
    return _spelled_otherwise(path)


def _from_windows(path: str) -> list[str]:
    if os.name == "nt":
        return []
    if share := _SHARE.match(path):
        return [share[1].replace("\\", "/")]
    if drive := _DRIVE.match(path):
        rest = drive[2].replace("\\", "/")
        return [os.path.join(drives, drive[1].lower(), rest) for drives in _DRIVES]
    return []


def _spelled_otherwise(path: str) -> str | None:
    """Find the one path that differs from this in the kind of its spaces and accents alone.

    macOS writes a narrow no-break space into the names of screenshots and accents as characters
    of their own; keyboards do neither.
    """
    found = "/" if path.startswith("/") else ""
    for part in filter(None, path.split("/")):
        step = os.path.join(found, part)
        if not os.path.lexists(step):
            try:
                names = os.listdir(found or ".")
            except OSError:
                return None
            wanted = plain_name(part)
            same = [name for name in names if plain_name(name) == wanted]
            if len(same) != 1:
                return None
            step = os.path.join(found, same[0])
        found = step
    return found or None


def plain_name(name: str) -> str:
    """Return a name with composed letters and ordinary spaces, without invisible marks."""
    if name.isascii():
        return name
    composed = unicodedata.normalize("NFC", name)
    kinds = ((unicodedata.category(c), c) for c in composed)
    return "".join(" " if kind == "Zs" else c for kind, c in kinds if kind != "Cf")
