"""Errors of servers, each as one plain sentence that says what to do."""

from __future__ import annotations

import re
import socket
import ssl
from types import NoneType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from assistant.servers import keys, wordings
from assistant.servers.address import Address
from assistant.servers.lessons import (
    FIELDS,
    ContextExceededError,
    HopelessError,
    NotTakenError,
    PicturesRefusedError,
    TooLargeError,
    error_in,
    lesson,
    words_of,
)
from assistant.servers.request import SILENCE_S
from assistant.values.errors import ModelError
from assistant.values.words import pip_install


class BusyError(ModelError):
    """The server may answer later; in ``after_s`` seconds, where it says so."""

    code = "busy"

    def __init__(self, message: str, after_s: float | None, code: str = "busy") -> None:
        super().__init__(message, code=code)
        self.after_s = after_s


class FailedError(ModelError):
    """The server failed on the request, maybe because of something in it."""

    code = "server_failed"


class SilentError(ModelError):
    """The model answered nothing at all."""

    code = "empty"


class StoppedError(ModelError):
    """The user stopped before the list of models came."""

    code = "stopped"

    def __init__(self, address: Address) -> None:
        super().__init__(f"Stopped before {address.base} had answered: send again to ask it.")


_SAYING_NOTHING = tuple(
    f": {one}" for one in (
        "not found", "method not allowed", "bad request", "internal server error",
        "unprocessable entity", "request entity too large", "payload too large",
    )
)  # fmt: skip
"""Words of every web server."""

_WITHHELD = re.compile(
    r"filter|safety|sensitive|guardrail|prohibit|blocklist|recitation|toxic|refus|policy|spii",
    re.IGNORECASE,
)
"""Reasons for an end in the words of vendors' filters."""

_LATER = (408, 425, 498, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530)
"""Statuses of servers, proxies and vendors that may answer later."""


_CODES = ("code", "type", "status", "status_code")
"""Fields of an error with its status, or a name for it."""

_BUSY = re.compile(
    r"rate[ _-]?limit|too many requests|overload|throttl|(?:no|at|exceed\w*|insufficient) capacity"
    r"|capacity (?:is )?(?:reached|exceeded)",
    re.IGNORECASE,
)
"""Words of servers that are busy, in an answer with a status that says all is well."""


def unreachable(address: Address, error: Exception) -> ModelError:
    """Explain a request without an answer."""
    name, causes = address.base, _causes(error)
    if any(isinstance(one, ImportError) for one in causes):
        return ModelError(
            "A SOCKS proxy is set (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), which needs a package "
            f"more ({pip_install('socksio')}); or name the server in NO_PROXY.",
            code="unreachable",
        )
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
    asked = f"{address.base}/chat/completions"
    try:
        there = urlsplit(urljoin(asked, location))
        path = re.sub(r"/(?:chat/completions|models)?/?$", "", there.path)
        place = f"{there.scheme}://{there.netloc.rpartition('@')[2]}{path}"
    except ValueError:
        place = "what is no address"
    if not location or place == address.base:
        return ModelError(
            f"{address.base} redirects in a circle: it, or a proxy before it, is set up wrongly.",
            code="redirect",
        )
    return ModelError(
        f"{address.base} redirects to {keys.shown(place, 80)}: nothing was sent there. Give that "
        "address if you trust it.",
        code="redirect",
    )


def refused(
    address: Address, status: int, body: bytes, *, has_key: bool, after_s: float | None = None
) -> ModelError:
    """Explain an answer with an error code, with the server's own words if it has any."""
    name, said = address.base, error_in(body)
    words = f": {words_of(said)}" if words_of(said) else ""
    if words.lower() in _SAYING_NOTHING:
        said = (
            {name: one for name, one in said.items() if name != "message"}
            if isinstance(said, dict)
            else None
        )
        words = ""
    is_json = body.lstrip().startswith((b"{", b"["))
    is_page = status == 403 and not is_json and not has_key  # of another program, as our own
    learned = lesson(address, said, f" (error {status})")
    if status in (401, 403) and not is_page and not (status == 403 and _is_certain(learned)):
        variable = keys.key_of(address)[0]
        key = (
            f"does not accept the key in {variable}" if has_key else f"wants a key: set {variable}"
        )
        return ModelError(f"{name} {key} (error {status}{words}).", code="unauthorized")
    if is_page or (status in (404, 405) and not (words and is_json)):
        return ModelError(
            f"There is no OpenAI-compatible server at {name} (error {status}): check the address.",
            code="not_a_server",
        )
    if status == 429 and not isinstance(learned, HopelessError):
        after_s = _stated_wait(words) if after_s is None else after_s
        later = f"again in {after_s:.0f} seconds" if after_s else "again later"
        return BusyError(
            f"{name} is busy or your quota is used up (error 429{words}): try {later}.", after_s
        )
    if status == 402:
        return HopelessError(f"{name} wants to be paid (error 402{words}).")
    if status in _LATER:
        return BusyError(
            f"{name} failed (error {status}{words}): try again, or look at the server's log.",
            after_s,
            "server_failed",
        )
    if status == 413 and "token" not in words:
        return TooLargeError(f"{name} takes no request of this size (error {status}){words or '.'}")
    if learned is not None:
        return learned
    if status >= 500 and status != 501:  # not implemented
        return FailedError(
            f"{name} failed (error {status}{words}): try again, or look at the server's log."
        )
    return ModelError(f"{name} refuses this (error {status}){words or '.'}", code="refused")


def _is_certain(learned: ModelError | None) -> bool:
    """Whether a refusal of access is one of the request: some say so of a field or a length."""
    is_field = isinstance(learned, NotTakenError) and learned.fields & FIELDS
    return bool(is_field) or not isinstance(learned, (NotTakenError, HopelessError, NoneType))


def _stated_wait(words: str) -> float | None:
    found = wordings.WAIT.search(words)
    if found is None or found[2].count(".") > 1 or found[2] == ".":
        return None
    return float(found[1] or 0) * 60 + float(found[2]) / (1000 if found[3] == "ms" else 1)


def refusal(address: Address, said: Any) -> ModelError:
    """Explain an error that came in the place of a reply, with a status that says all is well."""
    learned = lesson(address, said, "")
    codes = {str(said.get(name)) for name in _CODES} if isinstance(said, dict) else set()
    is_busy = codes & {"429", *map(str, _LATER)} or _BUSY.search(f"{words_of(said)} {codes}")
    if is_busy and not isinstance(learned, HopelessError):
        return BusyError(f"{address.base} is busy ({words_of(said)}): try again later.", None)
    return learned or given_up(address, said)


def blind(address: Address, error: PicturesRefusedError, asked: int) -> ModelError:
    """Explain a question whose own pictures the model does not take."""
    if error.most:
        return ModelError(
            f"{error} It takes {error.most} at a time and the question has {asked}: attach fewer.",
            code="refused",
        )
    return ModelError(
        f"{_sentence(error)} Ask without pictures, or choose a model that sees them (F8, or "
        "--model).",
        code="refused",
    )


def no_way(error: ModelError, asked: int, *, has_earlier: bool) -> ModelError:
    """Name the ways out of a refusal for no stated reason; ``asked``: pictures of the question."""
    if not (asked or has_earlier):
        return error
    way = "Ask without pictures" if asked else "Begin a new chat"
    words = f"{_sentence(error)} {way}, or choose another model (F8, or --model)."
    return ModelError(words, code="refused")


def too_large(error: ModelError) -> ModelError:
    """Explain a request that stays too large whatever is left out."""
    return ModelError(
        f"{_sentence(error)} Attach fewer or smaller pictures, or begin a new chat.", code="refused"
    )


def _sentence(error: ModelError) -> str:
    return f"{str(error).rstrip('.')}."


def broken_end(address: Address, reason: str, *, has_text: bool) -> ModelError:
    """Explain a reply that ended for a reason that is no success."""
    kept = "; what came is kept" if has_text else ""
    if _WITHHELD.search(reason):
        words = f"{address.base} withheld the rest of the answer: its filter found something"
        return ModelError(f"{words}{kept}. Ask in other words.", code="filtered")
    if reason.lower() in ("tool_calls", "function_call"):
        return empty(address, wants_tool=True)
    return ModelError(
        f"{address.base} ended the answer before its end (“{keys.shown(reason, 60)}”){kept}: ask "
        "again.",
        code="server_failed",
    )


def no_room(address: Address) -> ModelError:
    """Explain a chat that fills the context, of a server that answers nothing then."""
    words = "has no room left for an answer: shorten the text, or begin a new chat"
    return ContextExceededError(f"The model of {address.base} {words}.", None, None)


def empty(
    address: Address, *, wants_tool: bool = False, thought: int = 0, is_spent: bool = False
) -> ModelError:
    """Explain a reply without a word."""
    if wants_tool:
        words = "asked for a tool, which phichat does not have, in place of an answer: ask again"
    elif thought and is_spent:
        words = (
            "spent the whole answer on thinking: allow more tokens (the setting max_new_tokens), "
            "or less thinking (the setting thinking)"
        )
    elif thought:
        words = "thought, and then answered nothing: ask again"
    else:
        words = "answered nothing: ask again, or in other words"
    return ModelError(f"The model of {address.base} {words}.", code="empty")


def silent(address: Address) -> ModelError:
    """Explain a reply without even a blank."""
    return SilentError(str(empty(address)))


def given_up(address: Address, said: Any) -> ModelError:
    """Explain an error in the middle of a stream."""
    words = words_of(said)
    return ModelError(
        f"{address.base} gave up in the middle{': ' + words if words else '.'}",
        code="server_failed",
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
