"""What a slow terminal answers when the app already reads the keys."""

from __future__ import annotations

import re
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.message import Message

# To the three parts of tui.terminal.detect.QUESTION.
_ANSWERS = re.compile(r"\x1bP>\|[^\x1b]*\x1b\\|\x1b\[6;\d+;\d+t|\x1b\[\?[\d;]*c")

_feed = XTermParser.feed


def _feed_without_answers(self: XTermParser, data: str) -> Iterable[Message]:
    # An empty piece tells the parser that the input has ended.
    kept = _ANSWERS.sub("", data)
    return _feed(self, kept) if kept or not data else ()


def ignore() -> None:
    """Drop answers that come late: Textual 8.2 would type them into the composer."""
    XTermParser.feed = _feed_without_answers  # type: ignore[method-assign]
