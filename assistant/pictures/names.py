"""Untrusted names and addresses of pictures, made safe to show."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

_LONGEST = 120
_JOINERS = "\u200c\u200d"
"""Invisible characters that emoji and several scripts need, and that no terminal obeys."""


def shown(text: str) -> str:
    """Replace in ``text`` every character that a terminal may obey, or that hides or reorders text.

    They are control characters (escape sequences begin with one), formatting characters such as
    bidirectional overrides, line separators, and the lone surrogates that stand for undecodable
    bytes of a file name.
    """
    text = unicodedata.normalize("NFC", text)  # accents stand alone in names of macOS
    safe = "".join(
        "\ufffd" if unicodedata.category(c) in _UNSAFE and c not in _JOINERS else c for c in text
    )
    if len(safe) <= _LONGEST:
        return safe
    # The end of a path says more than its middle.
    return safe[: _LONGEST // 2] + "…" + safe[-(_LONGEST // 2 - 1) :]


_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def from_path(path: str) -> str:
    """Return the name of a picture file as shown: the last part of its path."""
    return shown(path.replace("\\", "/").rstrip("/").rpartition("/")[2]) or "picture"


def from_url(url: str) -> str:
    """Return the name of a picture at an address: the last part of its path, or the host."""
    parts = urlsplit(url)
    last = unquote(parts.path).rstrip("/").rpartition("/")[2]
    return shown(last or parts.hostname or "") or "picture"


def url_shown(url: str) -> str:
    """Return an address without user, password, and query (which may hold secrets)."""
    try:
        parts = urlsplit(url)
        return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    except ValueError:
        return "the address"
