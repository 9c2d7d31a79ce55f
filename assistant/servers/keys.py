"""Keys of servers: a key belongs to one address, and is sent to no other."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from assistant.servers.address import Address
from assistant.values.text import one_line

KEY = "PHICHAT_SERVER_KEY"
"""The environment variable with the key of one server, read for each request and never stored."""

SHORTEST = 4
"""Characters of a key: a shorter one would be found in any text."""

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
    """Return a server's words in one line, without any key that they repeat."""
    for name, key in os.environ.items():
        if name.startswith(KEY) and len(key := key.strip()) >= SHORTEST:
            text = text.replace(key, "•••")
    return one_line(text, limit)
