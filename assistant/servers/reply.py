"""A reply as a server streams it: text, why it ended, what it counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from assistant.servers import catalogue as looking, lessons, refusals
from assistant.servers.address import Address
from assistant.servers.request import Exchange
from assistant.servers.sse import EventStream
from assistant.values.conversation import FinishReason

_DONE = "[DONE]"
_NO_REPLY = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
"""Errors of reading JSON of another kind."""

_ENDS = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), FinishReason.LENGTH),
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "complete"),
        FinishReason.STOP,
    ),
}
"""Reasons for an end that is one, in OpenAI's words and in those of others."""


class Reply:
    """A streamed reply; complete once :meth:`read` has ended."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._half = ""
        self._is_over = self._has_begun = False
        self._thought = 0
        self._wants_tool = False
        self._end = ""
        self.has_text = False
        self.usage: dict[str, int] = {}
        """``prompt_tokens``, ``completion_tokens`` and ``cached_tokens``, if stated."""

    @property
    def finish_reason(self) -> FinishReason:
        return _ENDS.get(self._end.lower(), FinishReason.STOP)

    def read(self, exchange: Exchange) -> Iterator[str]:
        """Yield the texts as they come, never empty. Raises ModelError and httpx2's errors.

        Events, lines of JSON and one whole object are known by their first byte, because
        servers mislabel them.
        """
        looking.begin(exchange, self._address)
        begun = _begun(exchange)
        is_json = begun.startswith((b"{", b"["))
        try:
            for data in (_objects if is_json else _events)(begun, exchange):
                yield from self._take(data)
                if data == _DONE:
                    return
        except httpx2.RemoteProtocolError:
            if not self._is_over:  # else nothing but the formal end is missing
                raise
        except _NO_REPLY as error:
            if self._has_begun and isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
                raise refusals.cut(self._address) from error  # in the middle of an event
            raise refusals.malformed(self._address) from error
        yield from self._settled("", final=True)
        if not self._has_begun:
            raise refusals.malformed(self._address)
        if not (self._is_over or is_json):
            raise refusals.cut(self._address)

    def check(self, *, may_be_empty: bool) -> None:
        """Raise ModelError for a reply that is none: filtered, cut short, empty."""
        if self._end and self._end.lower() not in _ENDS:
            raise refusals.broken_end(self._address, self._end, has_text=self.has_text)
        if not (self.has_text or may_be_empty):
            is_spent = self.finish_reason is FinishReason.LENGTH
            raise refusals.empty(
                self._address, wants_tool=self._wants_tool, thought=self._thought, is_spent=is_spent
            )

    def _take(self, data: str) -> Iterator[str]:
        if data == _DONE:
            self._is_over = self._has_begun = True
            yield from self._settled("", final=True)
            return
        said = json.loads(data)
        if isinstance(said, list) and said:  # Gemini's errors
            said = said[0]
        if said is None:
            return
        if error := lessons.error_of(said):
            if self.has_text:
                raise refusals.given_up(self._address, error)
            raise refusals.refusal(self._address, error)
        self._has_begun |= "choices" in said
        self._note_usage(said.get("usage"))
        for choice in said.get("choices") or ():
            if choice.get("index") in (0, None):
                yield from self._choice(choice, choice.get("delta") or choice.get("message") or {})

    def _choice(self, choice: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
        if error := choice.get("error"):
            raise refusals.given_up(self._address, error)
        self._thought += len(said.get("reasoning_content") or said.get("reasoning") or "")
        self._wants_tool |= bool(said.get("tool_calls") or said.get("function_call"))
        yield from self._settled(self._text(said.get("content")) or said.get("refusal") or "")
        if reason := choice.get("finish_reason"):
            self._is_over, self._end = True, str(reason)

    def _text(self, content: Any) -> str:
        """Return the text of a string or of a list of parts; what was thought is counted only."""
        if not isinstance(content, list):
            return content or ""
        parts = [one for one in content if isinstance(one, Mapping)]
        self._thought += sum(len(str(one)) for one in parts if one.get("type") == "thinking")
        texts = (one.get("text") for one in parts if one.get("type") in ("text", None))
        return "".join(text for text in texts if isinstance(text, str))

    def _settled(self, text: str, *, final: bool = False) -> Iterator[str]:
        """Yield ``text`` in whole characters, because JSON can split one between two events."""
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff" and not final:
            text, self._half = text[:-1], text[-1]
        if text:
            self.has_text = True
            # halves that belong together become one character, others U+FFFD
            yield text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _note_usage(self, said: Any) -> None:
        if not isinstance(said, Mapping):
            return
        details = said.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
        counts = {
            "prompt_tokens": said.get("prompt_tokens"),
            "completion_tokens": said.get("completion_tokens"),
            "cached_tokens": cached,
        }
        self.usage |= {
            name: value
            for name, value in counts.items()
            if isinstance(value, int) and 0 <= value < 1 << 31
        }


def _begun(exchange: Exchange) -> bytes:
    """Return the beginning of a body, up to its first byte that is not white space."""
    begun = b""
    while not begun:
        piece = next(exchange, None)
        if not isinstance(piece, bytes):
            break
        begun = piece.removeprefix(b"\xef\xbb\xbf").lstrip()
    return begun


def _events(begun: bytes, exchange: Exchange) -> Iterator[str]:
    """Yield the data of server-sent events; an event of the name ``error`` is made one of ours."""
    events = EventStream()
    for piece in _after(begun, exchange):
        for data in events.feed(piece):
            if data.strip():
                yield _as_error(data) if events.name == b"error" else data
    for data in events.finish():
        if data.strip():
            yield _as_error(data) if events.name == b"error" else data


def _after(begun: bytes, exchange: Exchange) -> Iterator[bytes]:
    yield begun
    for piece in exchange:
        assert isinstance(piece, bytes)
        yield piece


def _as_error(data: str) -> str:
    try:
        said = json.loads(data)
    except ValueError:
        said = data
    is_named = isinstance(said, dict) and said.get("error")
    return data if is_named else json.dumps({"error": said or "an error"})


def _objects(begun: bytes, exchange: Exchange) -> Iterator[str]:
    """Yield lines of JSON as they come, or the one object that a body is."""
    held = b""
    for piece in _after(begun, exchange):
        held += piece
        if len(held) > looking.LONGEST:
            break
        *lines, rest = held.split(b"\n")
        whole = [line.strip() for line in lines]
        if whole and all(line.startswith(b"{") and line.endswith(b"}") for line in whole if line):
            yield from (line.decode() for line in whole if line)
            held = rest
    if held.strip():
        yield held.decode()
