"""A reply as a server streams it: text, why it ended, what it counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from assistant.servers import catalogue as looking, keys, lessons, refusals
from assistant.servers.address import Address
from assistant.servers.chances import SentChances
from assistant.servers.request import FAILURES, Exchange
from assistant.servers.sse import EventStream
from assistant.servers.thoughts import Habits, Splitter
from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError
from assistant.values.events import ThoughtGrew

_DONE = re.compile(r'"?\[?DONE\]?"?\s*', re.IGNORECASE)
_NO_REPLY = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, OverflowError,
)  # fmt: skip
"""Errors of reading JSON of another kind."""

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of a delta with the thought: llama.cpp's and SGLang's, vLLM's and Ollama's, others'."""

_IN_PARTS = ("thinking", "reasoning", "thought")
"""Kinds of parts of a content that are thoughts."""

_IN_OBJECTS = ("thinking", "text", "reasoning", "content", "summary")
"""Fields of an object that is a thought, or a part of one."""

_ENDS = {
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "token_limit",
         "max_completion_tokens", "model_context_window_exceeded", "context_length_exceeded"),
        FinishReason.LENGTH,
    ),
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "complete", "completed",
         "finished", "normal", "done", "eos_token_id", "end_of_text", "end_id"),
        FinishReason.STOP,
    ),
}  # fmt: skip
"""Reasons for an end that is one, in OpenAI's words and in those of others."""

_END_TOKEN = re.compile(
    r"<[|/]?\w+\|?>|end_?of_?\w+|eo[st]_?\w*|stop_?(?:tokens?|words?|strings?|texts?|criteria|id)"
)
"""The name of a token that ends replies, in the place of a reason."""

_JSON = ("{", "[", '"', "null")
"""Beginnings of data that is JSON; all else between events keeps a connection open."""


class Reply:
    """A streamed reply; complete once :meth:`read` has ended."""

    def __init__(self, address: Address, *, unopened: bool = False, strips: bool = False) -> None:
        """``unopened``: the text may begin with a thought without a tag.

        ``strips``: white space at its beginning is the tokenizer's.
        """
        self._address = address
        self._halves = Halves(), Halves()
        self._hiding = keys.HidingStream(), keys.HidingStream()
        self._splitter = Splitter(unopened=unopened, strips=strips)
        self._is_over = self._has_begun = False
        self._thought = 0
        """Characters; or tokens, where a server counts them and keeps the text to itself."""
        self._wants_tool = False
        self._end = ""
        self._unread: Any = None
        """The last object, which has the words of a refusal where no reply came."""
        self.has_text, self._is_silent = False, True
        self.has_thought = False
        self.chances = SentChances()
        self.usage: dict[str, int] = {}
        """``prompt_tokens``, ``completion_tokens`` and ``cached_tokens``, if stated."""

    @property
    def finish_reason(self) -> FinishReason:
        return _ENDS.get(self._end, FinishReason.STOP)

    def read(self, exchange: Exchange) -> Iterator[str | ThoughtGrew]:
        """Yield the texts as they come, never empty, and thoughts.

        Raises ModelError and httpx2's errors once what came is yielded.
        """
        failure: Exception | None = None
        try:
            for piece in self._read(exchange):
                yield self._noted(piece)
        except (ModelError, *FAILURES) as error:
            failure = error
        yield from self.rest()
        if failure is not None:
            raise failure

    def rest(self) -> Iterator[str | ThoughtGrew]:
        """Yield what was held back until it is clear how it goes on."""
        text, thought = (
            hiding.feed(half.finish()) + hiding.finish()
            for hiding, half in zip(self._hiding, self._halves, strict=True)
        )
        is_whole = self._is_over and self.finish_reason is FinishReason.STOP
        pieces = [*([ThoughtGrew(thought)] if thought else []), *self._splitter.feed(text)]
        for piece in (*pieces, *self._splitter.finish(is_whole=is_whole)):
            yield self._noted(piece)

    def teach(self, habits: Habits, level: str) -> None:
        """Note how the model thought, for the next request."""
        habits.is_seen |= bool(self._thought) and level == "off"
        if (was := self._splitter.was_unopened) is not None:
            habits.unopened[level != "off"] = was

    def _noted(self, piece: str | ThoughtGrew) -> str | ThoughtGrew:
        if isinstance(piece, ThoughtGrew):
            self._thought += len(piece.text)
            self.has_thought = self.chances.has_more = True
        else:
            self.has_text |= not piece.isspace()
            self._is_silent = False
        return piece

    def _read(self, exchange: Exchange) -> Iterator[str | ThoughtGrew]:
        """Yield the pieces as they are sent.

        Events, lines of JSON and one whole object are known by their first byte, because
        servers mislabel them.
        """
        looking.begin(exchange, self._address)
        begun = _begun(exchange)
        is_json = begun.startswith((b"{", b"["))
        try:
            for data in (_objects if is_json else _events)(begun, exchange):
                if _DONE.fullmatch(data):
                    self._is_over = self._has_begun = True
                    return
                yield from self._take(data)
        except httpx2.RemoteProtocolError:
            if not self._is_over:  # else nothing but the formal end is missing
                raise
        except _NO_REPLY as error:
            if self._is_over:
                return
            if self._has_begun and isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
                raise refusals.cut(self._address) from error  # in the middle of an event
            raise refusals.malformed(self._address) from error
        if not self._has_begun:
            if words := lessons.error_without_name(self._unread):
                raise refusals.refusal(self._address, words)
            raise refusals.malformed(self._address)
        if not (self._is_over or is_json):
            raise refusals.cut(self._address)

    def check(self, *, may_be_empty: bool) -> None:
        """Raise ModelError for a reply that is none: filtered, cut short, empty."""
        if self._end and self._end not in _ENDS and not _END_TOKEN.fullmatch(self._end):
            raise refusals.broken_end(self._address, self._end, has_text=self.has_text)
        if not (self.has_text or may_be_empty):
            is_spent = self.finish_reason is FinishReason.LENGTH
            if is_spent and not self._thought and self.usage.get("completion_tokens", 2) < 2:
                raise refusals.no_room(self._address)
            if self._is_silent and not (self._wants_tool or self._thought):
                raise refusals.silent(self._address)
            raise refusals.empty(
                self._address, wants_tool=self._wants_tool, thought=self._thought, is_spent=is_spent
            )

    def _take(self, data: str) -> Iterator[str | ThoughtGrew]:
        if not data.lstrip().startswith(_JSON):
            self._unread = None if "\ufffd" in data else {"message": data}
            return
        said = json.loads(data, strict=False)
        for one in said if isinstance(said, list) else [said]:  # Gemini's errors, and its replies
            if one is not None:
                yield from self._take_object(one)

    def _take_object(self, said: Any) -> Iterator[str | ThoughtGrew]:
        if error := lessons.error_of(said):
            if self.has_text or self.has_thought:
                raise refusals.given_up(self._address, error)
            raise refusals.refusal(self._address, error)
        self._has_begun |= "choices" in said and bool(said["choices"] or "base_resp" not in said)
        self._unread = said
        self._note_usage(said.get("usage"))
        for choice in said.get("choices") or ():
            if choice.get("index") in (0, "0", None):
                yield from self._choice(choice, _said(choice, self.has_text))

    def _choice(
        self, choice: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Iterator[str | ThoughtGrew]:
        if error := choice.get("error"):
            raise refusals.given_up(self._address, error)
        self._wants_tool |= bool(said.get("tool_calls") or said.get("function_call"))
        self.chances.take(choice.get("logprobs"))
        (text, thought), (in_text, in_thought) = self._halves, self._hiding
        if thinks := in_thought.feed(thought.feed(_thought(said))):
            yield from self._splitter.settle()
            yield ThoughtGrew(thinks)
        if says := in_text.feed(text.feed(_text(said.get("content")) or said.get("refusal") or "")):
            yield from self._splitter.feed(says)
        if reason := choice.get("finish_reason"):
            self._is_over, self._end = True, _reason(reason)

    def _note_usage(self, said: Any) -> None:
        if not isinstance(said, Mapping):
            return
        hidden = said.get("completion_tokens_details")
        if isinstance(hidden, Mapping) and isinstance(hidden.get("reasoning_tokens"), int):
            self._thought = self._thought or hidden["reasoning_tokens"]
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


class Halves:
    """Whole characters of texts, because JSON can split one between two events."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return what is whole of the text so far."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return self._joined(text)

    def finish(self) -> str:
        """Return half a character, as U+FFFD."""
        half, self._half = self._half, ""
        return self._joined(half)

    def _joined(self, text: str) -> str:
        # halves that belong together become one character, others U+FFFD
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _said(choice: Mapping[str, Any], has_text: bool) -> Mapping[str, Any]:
    """Return the delta or message of a choice; of the older API a text.

    A message behind deltas repeats their text.
    """
    said: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
    if has_text and "delta" in choice and not choice["delta"]:
        return {name: value for name, value in said.items() if name != "content"}
    return said or {"content": choice.get("text")}


def _reason(said: Any) -> str:
    """Return the reason for an end in small letters, without the prefix of Google's names."""
    said = said.get("type") if isinstance(said, Mapping) else said
    return str(said).lower().removeprefix("finish_reason_")


def _text(content: Any) -> str:
    """Return the text of a string, of a part of any kind but thoughts, or of a list of these."""
    if isinstance(content, list):
        return "".join(map(_text, content))
    if isinstance(content, Mapping):
        is_thought = content.get("type") in _IN_PARTS
        return "" if is_thought else _text(content.get("text") or content.get("refusal"))
    return content or ""


def _thought(said: Mapping[str, Any]) -> str:
    """Return the thought of a delta: of a field for it, or of parts of a kind for it."""
    found = next((said[name] for name in _THOUGHTS if said.get(name)), "")
    content = said.get("content")
    parts = content if isinstance(content, list) else []
    objects = [one for one in parts if isinstance(one, Mapping)]
    thoughts = (one for one in objects if one.get("type") in _IN_PARTS or one.get("thinking"))
    return _words([found, *thoughts])


def _words(said: Any) -> str:
    """Return the text of a thought: of a string, of an object with one, of a list of these."""
    if isinstance(said, list):
        return "".join(map(_words, said))
    if isinstance(said, Mapping):
        return _words(next((said[name] for name in _IN_OBJECTS if said.get(name)), ""))
    return said if isinstance(said, str) else ""


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


_LINE = re.compile(rb"\{.*\}|\[DONE\]")
"""A line of JSON that is an object, or the end."""


def _objects(begun: bytes, exchange: Exchange) -> Iterator[str]:
    """Yield lines of JSON as they come, or the one object that a body is."""
    held = b""
    for piece in _after(begun, exchange):
        held += piece
        if len(held) > looking.LONGEST:
            break
        *lines, rest = held.split(b"\n")
        whole = [line.strip() for line in lines]
        if whole and all(_LINE.fullmatch(line) for line in whole if line):
            yield from (line.decode(errors="replace") for line in whole if line)
            held = rest
    if held.strip():
        yield held.decode(errors="replace")
