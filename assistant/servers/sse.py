"""Server-sent events from a stream of bytes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 1 << 20
"""Bytes of one event at most: a longer one is no stream of a reply."""

_BEGINNINGS = (b"{", b"[DONE]")
"""Beginnings of events: no line of JSON that ends an object goes on with one."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventStream:
    """A parser that takes bytes cut anywhere and yields the data of events. Raises ValueError.

    Ids and comments are skipped.
    """

    def __init__(self) -> None:
        self.name = b""
        """The name of the event that was yielded last."""
        self._named = b""
        self._rest = bytearray()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the data of the events that ``piece`` completes."""
        seen = max(0, len(self._rest) - 1)
        self._rest += piece
        # a CR at the very end may be half of a line break: it waits
        ends = [(one.start(), one.end()) for one in _LINE_END.finditer(self._rest, seen)]
        start = 0
        for end, after in ends:
            yield from self._line(bytes(self._rest[start:end]))
            start = after
        del self._rest[:start]
        if len(self._rest) + sum(map(len, self._data)) > LONGEST:
            raise ValueError("an event without end")

    def finish(self) -> Iterator[str]:
        """Yield the data of a last event that the end of the stream completes."""
        rest = bytes(self._rest.removesuffix(b"\r"))
        self._rest.clear()
        yield from self._line(rest)
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[str]:
        if line:
            name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
            if name == b"data":
                value = value.removeprefix(b" ")
                if self._data and self._data[-1].endswith(b"}") and value.startswith(_BEGINNINGS):
                    yield from self._line(b"")  # events without an empty line between them
                self._data.append(value)
            elif name == b"event":
                self._named = value.strip()
        elif self._data:
            data, self._data = b"\n".join(self._data), []
            self.name, self._named = self._named, b""
            yield data.decode("utf-8", "replace")
        else:
            self._named = b""
