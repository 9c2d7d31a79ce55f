"""Keys of servers: a key belongs to one address, and is sent to no other."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from assistant.servers.address import Address
from assistant.values.text import begun, one_line

KEY = "PHICHAT_SERVER_KEY"
"""The environment variable with the key of one server, read for each request and never stored."""

SHORTEST = 4
"""Characters of a key: a shorter one would be found in any text."""

RECOGNISED = 10
"""Characters in a row by which a key is known, whatever a server made of the others."""

HIDDEN = "•••"

_owners: dict[str, str] = {}
"""The address to which this process sent the value of KEY first, by that value."""


def variable_of(address: Address) -> str:
    """Return the variable with the key of this address alone: ``PHICHAT_SERVER_KEY_HOST``."""
    host = urlsplit(address.base).hostname or ""
    return f"{KEY}_{re.sub(r'[^A-Z0-9]', '_', host.upper())}"


def key_of(address: Address) -> tuple[str, str]:
    """Return the variable and the key for an address; "" where none is meant for it.

    ``PHICHAT_SERVER_KEY`` is the key of the first server that this process asks.
    """
    own = variable_of(address)
    if key := os.environ.get(own, "").strip():
        return own, key
    key = os.environ.get(KEY, "").strip()
    if key and _owners.setdefault(key, address.base) != address.base:
        return own, ""
    return KEY, key


def shown(text: str, limit: int) -> str:
    """Return a server's words in one line, without any key that they repeat, as it is or escaped.

    A word that has RECOGNISED characters of a key in a row is left out.
    """
    keys = _keys()
    words = (word if not _repeats(word, keys) else HIDDEN for word in one_line(text).split(" "))
    return one_line(" ".join(words), limit)


def _keys() -> list[str]:
    values = (value.strip() for name, value in os.environ.items() if name.startswith(KEY))
    return [value for value in values if len(value) >= SHORTEST]


def _repeats(word: str, keys: list[str]) -> bool:
    word = word.lower()
    return any(
        key[start : start + RECOGNISED].lower() in word
        for key in keys
        for start in range(max(1, len(key) - RECOGNISED + 1))
    )


class HidingStream:
    """Stream of a server's text without a key, also where that is cut between two pieces."""

    def __init__(self) -> None:
        self._keys = _keys()
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what is certain; what may be the beginning of a key is held back."""
        text = self._held + piece
        for key in self._keys:
            text = text.replace(key, HIDDEN)
        held = max((begun(text, key) for key in self._keys), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return held
