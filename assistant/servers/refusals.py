"""Errors of servers, each as one plain sentence that says what to do."""

from __future__ import annotations

import json
import re
import socket
import ssl
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from assistant.servers.address import Address
from assistant.servers.request import SILENCE_S
from assistant.values.errors import ModelError
from assistant.values.text import one_line

KEY = "PHICHAT_SERVER_KEY"
"""The environment variable with the key, which is read for each request and never stored."""

_LONGEST = 300
"""Characters of a server's own words that are shown."""

_TOO_LONG = re.compile(
    r"maximum context length|context[ _](length|window|size)|exceed_context_size", re.IGNORECASE
)
_LIMIT = re.compile(r"(?:context (?:length|window|size)|n_ctx)\D{0,20}?([0-9]{3,9})", re.IGNORECASE)
_COUNTED = re.compile(r"([0-9]{3,9}) (?:input |prompt )?tokens", re.IGNORECASE)
_NO_EYES = re.compile(r"image input is not supported", re.IGNORECASE)
"""llama.cpp's words, with which it calls itself broken (error 500)."""
_NOT_TAKEN = ("unsupported_parameter", "unsupported_value")
"""OpenAI's codes for a parameter that a model does not take, or not with this value."""
_NOT_TAKEN_WORDS = re.compile(r"Unsupported (?:parameter|value): '(\w+)'")
"""Its words, which get through servers in between that keep neither its code nor the name."""


class ContextExceededError(ModelError):
    """The conversation is longer than the server's model reads.

    ``limit`` is the model's context and ``counted`` the conversation, in the server's tokens,
    where it states them.
    """

    code = "context"

    def __init__(self, message: str, limit: int | None, counted: int | None) -> None:
        super().__init__(message)
        self.limit, self.counted = limit, counted


class NotTakenError(ModelError):
    """The server's model does not take the ``parameter`` of the request, or not its value."""

    code = "refused"

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class StoppedError(ModelError):
    """The user stopped before the list of models came."""

    code = "stopped"

    def __init__(self, address: Address) -> None:
        super().__init__(f"Stopped before {address.base} had answered: send again to ask it.")


def unreachable(address: Address, error: Exception) -> ModelError:
    """Explain a request without an answer."""
    name, causes = address.base, _causes(error)
    if isinstance(error, httpx2.ProxyError):
        return ModelError(
            f"The proxy on the way to {name} does not let through: check HTTP_PROXY, HTTPS_PROXY "
            "and NO_PROXY.",
            code="unreachable",
        )
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return ModelError(
            f"{name} has no certificate that can be trusted, or speaks http: check the address.",
            code="unreachable",
        )
    if any(isinstance(one, socket.gaierror) for one in causes):
        return ModelError(
            f"{name}: no machine of this name is known; check the address and your connection.",
            code="unreachable",
        )
    if isinstance(error, (httpx2.ConnectTimeout, TimeoutError)):
        return ModelError(
            f"{name} does not answer: check the address, and whether the server runs.",
            code="timeout",
        )
    if isinstance(error, httpx2.TimeoutException):
        return ModelError(
            f"{name} has said nothing for {SILENCE_S:.0f} seconds: ask again, or look at what the "
            "server does.",
            code="timeout",
        )
    if isinstance(error, httpx2.ConnectError):
        return ModelError(
            f"Nothing answers at {name}: start the server, or check the address.",
            code="unreachable",
        )
    if isinstance(error, (httpx2.TransportError, httpx2.DecodingError)):
        return cut(address)
    return ModelError(f"{name} can't be asked: check the address.", code="unreachable")


def cut(address: Address) -> ModelError:
    """Explain an answer that ended in the middle."""
    return ModelError(
        f"The connection to {address.base} broke off; what came is kept. Ask again when the "
        "server is back.",
        code="cut",
    )


def malformed(address: Address) -> ModelError:
    """Explain an answer of another kind."""
    return ModelError(
        f"{address.base} answers with something else than an OpenAI-compatible server would: "
        "check the address.",
        code="malformed",
    )


def redirected(address: Address, location: str) -> ModelError:
    """Explain a redirect, which is never followed because the user named this server only."""
    try:
        there = urlsplit(urljoin(address.base, location))
        place = f"{there.scheme}://{there.netloc.rpartition('@')[2]}"
    except ValueError:
        place = "what is no address"
    return ModelError(
        f"{address.base} redirects to {one_line(place, 80)}: nothing was sent there. Give that "
        "address if you trust it.",
        code="redirect",
    )


def refused(address: Address, status: int, body: bytes, *, has_key: bool) -> ModelError:
    """Explain an answer with an error code, with the server's own words if it has any."""
    name, said = address.base, error_in(body)
    words = f": {words_of(said)}" if words_of(said) else ""
    if words.lower() in (": not found", ": method not allowed"):
        words = ""  # every web server says that
    if status in (401, 403):
        key = f"does not accept the key in {KEY}" if has_key else f"wants a key: set {KEY}"
        return ModelError(f"{name} {key} (error {status}{words}).", code="unauthorized")
    if status in (404, 405) and not words:
        return ModelError(
            f"There is no OpenAI-compatible server at {name} (error {status}): check the address.",
            code="not_a_server",
        )
    if status == 429:
        return ModelError(
            f"{name} is busy or your quota is used up (error 429{words}): try again later.",
            code="busy",
        )
    if status >= 500 and not _NO_EYES.search(words):
        return ModelError(
            f"{name} failed (error {status}{words}): try again, or look at the server's log.",
            code="server_failed",
        )
    if _TOO_LONG.search(text := json.dumps(said)):
        found = _LIMIT.search(text)
        limit = int(found[1]) if found else 0
        counted = max(map(int, _COUNTED.findall(text)), default=0)
        return ContextExceededError(
            f"{name} can't read as long a conversation{words or '.'}",
            limit or None,
            counted if counted > limit else None,
        )
    if isinstance(said, dict) and said.get("code") in _NOT_TAKEN:
        return NotTakenError(f"{name} refuses this (error {status}){words}", str(said.get("param")))
    if named := _NOT_TAKEN_WORDS.search(words):
        return NotTakenError(f"{name} refuses this (error {status}){words}", named[1])
    return ModelError(f"{name} refuses this (error {status}){words or '.'}", code="refused")


def given_up(address: Address, said: Any) -> ModelError:
    """Explain an error in the middle of a stream."""
    words = words_of(said)
    return ModelError(
        f"{address.base} gave up in the middle{': ' + words if words else '.'}",
        code="server_failed",
    )


def error_in(body: bytes) -> Any:
    """Return the ``error`` of a JSON body, or the field in its place; None without any."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(said, dict):
        return next((said[name] for name in ("error", "detail", "message") if said.get(name)), None)
    return None


def words_of(said: Any) -> str:
    """Shorten a server's own words to one line that is safe for a terminal."""
    if isinstance(said, dict):
        said = said.get("message") or said.get("msg") or said.get("type") or said
    if isinstance(said, list) and said:
        return words_of(said[0])
    if not said:
        return ""
    return one_line(said if isinstance(said, str) else json.dumps(said), _LONGEST).rstrip(".")


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
