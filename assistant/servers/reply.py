"""A reply as a server streams it: text, why it ended, what it counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from assistant.servers import catalogue as looking, refusals
from assistant.servers.address import Address
from assistant.servers.request import Exchange
from assistant.servers.sse import EventStream
from assistant.values.conversation import FinishReason

_DONE = "[DONE]"
_NO_REPLY = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
"""Errors of reading JSON of another kind."""


class Reply:
    """A streamed reply; complete once :meth:`read` has ended."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._half = ""
        self._is_over = self._has_begun = False
        self.finish_reason = FinishReason.STOP
        self.usage: dict[str, int] = {}
        """``prompt_tokens``, ``completion_tokens`` and ``cached_tokens``, if stated."""

    def read(self, exchange: Exchange) -> Iterator[str]:
        """Yield the texts as they come, never empty. Raises ModelError and httpx2's errors."""
        head = looking.begin(exchange, self._address)
        if "json" in head.content_type:  # it does not stream, or it is an error in disguise
            yield from self._whole(looking.rest(exchange))
            return
        events = EventStream()
        try:
            for piece in exchange:
                assert isinstance(piece, bytes)
                for data in events.feed(piece):
                    yield from self._take(data)
                    if data == _DONE:
                        return
            for data in events.finish():
                yield from self._take(data)
        except httpx2.RemoteProtocolError:
            if not self._is_over:  # else nothing but the formal end is missing
                raise
        except _NO_REPLY as error:
            raise refusals.malformed(self._address) from error
        yield from self._settled("", final=True)
        if not self._has_begun:
            raise refusals.malformed(self._address)
        if not self._is_over:
            raise refusals.cut(self._address)

    def _take(self, data: str) -> Iterator[str]:
        if data == _DONE:
            self._is_over = self._has_begun = True
            yield from self._settled("", final=True)
            return
        said = json.loads(data)
        self._has_begun = True
        if said.get("error"):
            raise refusals.given_up(self._address, said["error"])
        self._note_usage(said.get("usage"))
        if choices := said.get("choices"):
            yield from self._choice(choices[0], choices[0].get("delta") or {})

    def _whole(self, body: bytes) -> Iterator[str]:
        try:
            said = json.loads(body)
            if said.get("error"):
                raise refusals.given_up(self._address, said["error"])
            self._note_usage(said.get("usage"))
            yield from self._choice(said["choices"][0], said["choices"][0]["message"])
            yield from self._settled("", final=True)
        except _NO_REPLY as error:
            raise refusals.malformed(self._address) from error

    def _choice(self, choice: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
        yield from self._settled(said.get("content") or said.get("refusal") or "")
        if reason := choice.get("finish_reason"):
            self._is_over = True
            self.finish_reason = FinishReason.LENGTH if reason == "length" else FinishReason.STOP

    def _settled(self, text: str, *, final: bool = False) -> Iterator[str]:
        """Yield ``text`` in whole characters, because JSON can split one between two events."""
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff" and not final:
            text, self._half = text[:-1], text[-1]
        if text:
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
