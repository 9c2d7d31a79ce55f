"""Addresses of servers: as users type them, as they are stored and shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from assistant.values.errors import ModelError

_SCHEMES = ("http://", "https://")
_NEAR = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
"""Ends of names that no public server has."""
_PASTED = ("/chat/completions", "/models")
"""Ends of addresses copied from other programs."""


@dataclass(frozen=True, slots=True)
class Address:
    """``base`` is what ``/models`` and ``/chat/completions`` are put behind.

    ``model`` is the one asked for, None for the first that the server names.
    """

    base: str
    model: str | None = None

    @property
    def name(self) -> str:
        """The model's name in settings and sessions: ``http://host:8000/v1#model``."""
        return self.base if self.model is None else f"{self.base}#{self.model}"

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.base).netloc

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, where no proxy is used."""
        host = urlsplit(self.base).hostname or ""
        with suppress(ValueError):  # a name
            return ip_address(host).is_loopback
        return host == "localhost"

    @property
    def is_near(self) -> bool:
        """Whether it is this machine or one of its network, as far as the address says it."""
        host = (urlsplit(self.base).hostname or "").rstrip(".")
        with suppress(ValueError):  # a name
            return not ip_address(host).is_global
        return "." not in host or host.endswith(_NEAR)


def is_server(model: str) -> bool:
    """Whether the name of a model is the address of a server."""
    return model[:8].lower().startswith(_SCHEMES)


def parse(model: str) -> Address:
    """Read ``http(s)://host[:port][/path][#model]``; without a path it is ``/v1``.

    Raises ModelError, and never repeats what may be a secret.
    """
    address, _, name = model.strip().partition("#")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ModelError("This is no valid address of a server: check it.", code="usage") from None
    if parts.username is not None or parts.password is not None or {*"?;"} & {*address}:
        raise ModelError(
            "The address of a server is stored and shown, so it can't have a password, a ? or a ; "
            "in it: give the key in PHICHAT_SERVER_KEY.",
            code="usage",
        )
    host = parts.hostname or ""
    if not host or not is_server(address) or not model.strip().isprintable() or " " in address:
        raise ModelError(
            "A server is given as http://host:port or http://host:port/v1#model: check the "
            "address.",
            code="usage",
        )
    path = parts.path.rstrip("/")
    for end in _PASTED:
        path = path.removesuffix(end)
    host = f"[{host}]" if ":" in host else host
    place = host if port is None else f"{host}:{port}"
    return Address(f"{parts.scheme}://{place}{path or '/v1'}", name.strip() or None)
