"""Models of a server, and the context of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from assistant import __version__
from assistant.servers import keys, refusals
from assistant.servers.address import Address
from assistant.servers.request import FAILURES, LOOK_S, Exchange, Head
from assistant.values.errors import ModelError
from assistant.values.words import counted

LONGEST = 1 << 22
"""Bytes of a list of models, or of a refusal, that are read."""

_MOST = 1 << 31
"""Tokens that no context has: what is said beyond is no number of them."""

_CONTEXT = frozenset(
    {"max_model_len", "context_length", "context_window", "max_context_length", "n_ctx",
     "loaded_context_length", "max_input_tokens", "inputTokenLimit", "max_prompt_tokens"}
)  # fmt: skip
"""Fields with it, of which the least counts: vLLM and SGLang, OpenRouter, Groq, LM Studio,
llama.cpp, LM Studio again, LiteLLM and Anthropic, Google, GitHub."""

_INNER = ("meta", "top_provider", "model_info", "capabilities", "limits")
"""Fields with more about a model."""

_NO_CHAT = re.compile(
    r"embed|whisper|\btts|dall-?e|rerank|moderation|transcri|speech|text-to-image|not-loaded",
    re.IGNORECASE,
)
"""Names, types and states of models that answer no chat, or not at once."""

CONTINUES = frozenset({"vllm", "llamacpp", "library"})
"""``owned_by`` of vLLM, llama.cpp and Ollama, which go on from within a reply; others may begin a
new one."""


@dataclass(frozen=True, slots=True)
class ServerModel:
    """A model that a server names; ``context`` is None where the server states none.

    ``chats`` is False where its name, or what is said of it, speaks against a chat.
    ``sees`` says whether it takes pictures: as the server states it, else as its name does.
    """

    address: Address
    context: int | None = None
    owner: str = ""
    sees: bool = False
    chats: bool = True


def headers(address: Address, *, has_key: bool = True) -> dict[str, str]:
    """Return the headers of every request. The key is read for each and kept nowhere.

    Raises ModelError for a key that no header can hold.
    """
    variable, key = keys.key_of(address) if has_key else ("", "")
    if not key.isascii() or not (key or "x").isprintable():
        raise ModelError(
            f"{variable} holds something else than a key: set it again.", code="unauthorized"
        )
    return {
        "User-Agent": f"phichat/{__version__}",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",  # compressed streams come late
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }


def begin(exchange: Exchange, address: Address, *, has_key: bool = True) -> Head:
    """Return the head of a good answer. Raises ModelError for any other, once it is read."""
    head = next(exchange, None)
    if not isinstance(head, Head):
        raise refusals.cut(address)  # closed before there was an answer
    if 300 <= head.status < 400:
        raise refusals.redirected(address, head.location)
    if not 200 <= head.status < 300:
        raise refusals.refused(
            address,
            head.status,
            rest(exchange),
            has_key="Authorization" in headers(address, has_key=has_key),
            after_s=_seconds(head.retry_after),
        )
    return head


def rest(exchange: Exchange) -> bytes:
    """Read the rest of a short body."""
    body = b""
    for piece in exchange:
        assert isinstance(piece, bytes)
        body += piece
        if len(body) > LONGEST:
            break
    return body


def _seconds(retry_after: str) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        when = parsedate_to_datetime(retry_after)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


NO_ANSWER = ("unreachable", "timeout", "cut", "redirect", "busy", "server_failed")
"""Codes of errors where a chat would not be answered either."""

Found = TypeVar("Found")
Watch = Callable[[Exchange], None]
"""Takes a request as it begins, so that another thread can close it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose answer is short: a GET, or a POST of ``body``."""

    url: str
    total_s: float
    body: bytes | None = None
    has_key: bool = True


def ask(
    address: Address, request: Request, read: Callable[[Any], Found], watch: Watch | None
) -> Found:
    """Return what ``read`` makes of a server's JSON. Raises ModelError, also where it is other."""
    exchange = Exchange(
        request.url,
        headers(address, has_key=request.has_key),
        request.body,
        proxies=not address.is_here,
        total_s=request.total_s,
    )
    if watch is not None:
        watch(exchange)
    try:
        begin(exchange, address, has_key=request.has_key)
        return read(json.loads(rest(exchange)))
    except FAILURES as error:
        raise refusals.unreachable(address, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refusals.malformed(address) from None
    finally:
        exchange.close()


def models(
    address: Address, watch: Watch | None = None, *, has_key: bool = True
) -> tuple[ServerModel, ...]:
    """Ask a server for its models, in its order. Raises ModelError."""

    def read(said: Any) -> tuple[Any, tuple[ServerModel, ...]]:
        listed = _rows(said, is_named=address.model is not None)
        return listed, tuple(filter(None, (_model(address, one, _more(said)) for one in listed)))

    request = Request(f"{address.base}/models", LOOK_S, has_key=has_key)
    listed, found = ask(address, request, read, watch)
    if listed and not found:
        raise refusals.malformed(address)
    if not found:
        raise ModelError(f"{address.base} has no model: load one there.", code="not_a_server")
    return found


def chosen(address: Address, watch: Watch | None = None) -> ServerModel:
    """Return the model that an address names, else the first one. Raises ModelError."""
    try:
        found = models(address, watch)
    except ModelError as error:
        # the chat may work
        is_list_alone = isinstance(error, refusals.FailedError) or error.code == "busy"
        if address.model is None and error.code == "refused":
            words = (
                f"{str(error).rstrip('.')}. Name a model behind the address: {address.base}#NAME."
            )
            raise ModelError(words, code="refused") from error
        if address.model is None or (error.code in NO_ANSWER and not is_list_alone):
            raise
        return ServerModel(address)  # a server without a list: what was named may be there
    if address.model is None:
        return next((one for one in found if one.chats), found[0])
    wanted = address.model.removeprefix("models/").removesuffix(":latest")
    for one in found:
        listed = (one.address.model or "").removeprefix("models/")  # Gemini's lists have it
        if listed.removesuffix(":latest") == wanted:
            return replace(one, address=address)
    names = ", ".join(keys.shown(one.address.model or "", 60) for one in found[:5])
    more = ", …" if len(found) > 5 else ""
    raise ModelError(
        f"{address.base} has no model {keys.shown(address.model, 60)}: it has {names}{more}.",
        code="no_such_model",
    )


def _rows(said: Any, *, is_named: bool) -> Any:
    """Return the rows of a list of models; a list of another form does not refuse a name."""
    if not isinstance(said, dict):
        return said
    if isinstance(inner := said.get("data"), dict) and isinstance(inner.get("models"), list):
        return inner["models"]
    return said["data"] if is_named or said.get("data") else said.get("models", said.get("data"))


def _more(said: Any) -> dict[str, Mapping[str, Any]]:
    """Return what llama.cpp says of its models in a second list, by name."""
    others = said.get("models") if isinstance(said, Mapping) else None
    listed = [one for one in others if isinstance(one, Mapping)] if isinstance(others, list) else []
    return {str(one.get("model") or one.get("name")): one for one in listed}


def _model(address: Address, row: Any, more: Mapping[str, Mapping[str, Any]]) -> ServerModel | None:
    """Read a row of a list of models; None for one without a name that can be sent."""
    said = row if isinstance(row, Mapping) else {"id": row}
    name = next((said[key] for key in ("id", "name", "model") if said.get(key)), None)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        return None
    said = {**more.get(name, {}), **said}
    owner = str(said.get("owned_by") or "")
    sizes = list(_sizes(said))
    is_off = said.get("active") is False or said.get("deprecated") is True
    chats = not is_off and not any(
        _NO_CHAT.search(one)
        for one in (name, said.get("type"), said.get("state"))
        if isinstance(one, str)
    )
    context = min(sizes, default=None)
    return ServerModel(replace(address, model=name), context, owner, _sees(name, said), chats)


def _sizes(said: Mapping[str, Any], depth: int = 3) -> Iterator[int]:
    """Yield the contexts that are stated of a model, as numbers or in digits."""
    for key, value in said.items():
        if isinstance(value, str) and value.replace(",", "").isascii():
            value = int(digits) if (digits := value.replace(",", "")[:12]).isdigit() else None
        is_number = isinstance(value, (int, float)) and 2 <= value < _MOST
        if key in _CONTEXT and is_number:
            yield int(value)
        elif key in _INNER and isinstance(value, Mapping) and depth:
            yield from _sizes(value, depth - 1)


_EYES = re.compile(
    r"vision|llava|pixtral|gemma-?[34]|moondream|minicpm-?[vo]|internvl|paligemma|florence|smolvlm"
    r"|(?:^|[^a-z])(?:vl|vlm|omni|ocr)(?:[^a-z]|$)|qwen-?3\.5|llama-?4|mistral-small-?3|gpt-(?:4o|5)",
    re.IGNORECASE,
)
"""Names of models that take pictures."""


def _sees(name: str, said: Mapping[str, Any]) -> bool:
    """Read whether a model takes pictures: as its server states it, else as its name does."""
    architecture = said.get("architecture")
    inner = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    if isinstance(said.get("supports_image_input"), bool):
        return bool(said["supports_image_input"])
    stated = [one for one in (inner, said.get("modalities"), said.get("capabilities")) if one]
    if stated or said.get("type") == "vlm":
        words = json.dumps([stated, said.get("type")]).lower()
        return bool(re.search(r"image|vision\"(?!: false)|multimodal|vlm", words))
    return bool(_EYES.search(name))


def context_words(found: ServerModel, assumed: int, wanted: int | None) -> str:
    """Say what a server's model reads; ``wanted`` is the user's setting."""
    name = keys.shown(found.address.model or "its model", 60)
    if found.context is not None:
        return f"{name} reads {counted(found.context, 'token')}"
    if wanted is not None:
        return f"{name}; the server does not tell its context"
    return (
        f"{name}; the server does not tell its context, {counted(assumed, 'token')} are "
        "assumed (the setting context)"
    )
