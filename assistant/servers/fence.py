"""The fence that some models put around JSON when their server does not hold them to a schema."""

from __future__ import annotations

import re
from collections.abc import Iterator

from assistant.servers.chances import SentChances
from assistant.servers.request import FAILURES
from assistant.values.errors import ModelError
from assistant.values.events import ThoughtGrew

_OPENING = re.compile(r"\s*```[ \t]*(?:json[c5l]?)?[ \t]*(?:\r?\n|(?=[{\[]))", re.IGNORECASE)
_MAY_OPEN = re.compile(r"\s*(?:`{1,2}|```[ \t]*[a-z0-9]{0,5}[ \t]*\r?)?", re.IGNORECASE)
_MAY_CLOSE = re.compile(r"\s*`{0,3}\s*\Z")
_CLOSING = re.compile(r"\s*```\s*\Z")


class _Fence:
    """Takes a fence off an answer as it grows; an answer without one is what it was."""

    def __init__(self) -> None:
        self._held = ""
        self._is_open: bool | None = None
        """Whether there is a fence; None until that is known."""

    @property
    def is_off(self) -> bool:
        """Whether a fence was found."""
        return bool(self._is_open)

    def feed(self, text: str) -> str:
        """Take a piece of the answer; return what is known to be JSON, or no fence."""
        text, self._held = self._held + text, ""
        if self._is_open is None:
            if _MAY_OPEN.fullmatch(text):
                self._held = text
                return ""
            opening = _OPENING.match(text)
            self._is_open = opening is not None
            text = text[opening.end() :] if opening else text
        if not self._is_open:
            return text
        closing = _MAY_CLOSE.search(text)
        end = closing.start() if closing else len(text)
        self._held = text[end:]
        return text[:end]

    def finish(self) -> str:
        """Return what was held back, without the end of a fence."""
        held, self._held = self._held, ""
        return _CLOSING.sub("", held) if self._is_open else held


def unfenced(
    pieces: Iterator[str | ThoughtGrew], chances: SentChances
) -> Iterator[str | ThoughtGrew]:
    """Take the fence off the texts among the pieces of a reply.

    Raises what ``pieces`` raises, once all that came is yielded.
    """
    fence = _Fence()
    failure: Exception | None = None
    try:
        for piece in pieces:
            if isinstance(piece, ThoughtGrew):
                yield piece
            elif text := fence.feed(piece):
                chances.has_more |= fence.is_off
                yield text
    except (ModelError, *FAILURES) as error:
        failure = error
    if text := fence.finish():
        yield text
    if failure is not None:
        raise failure
