"""Answers to OSC 5522, taken out of what a terminal sends: they may be cut anywhere."""

from __future__ import annotations

import re
import threading

START = "\x1b]5522;"
_ENDS = re.compile("\x07|\x1b\\\\")
_BODY = re.compile(r"[A-Za-z0-9+/=:;,._-]*\x1b?")
_MOST_CHARACTERS = 1 << 16
"""Of one packet; those of the protocol have 6,000."""
_PATIENCE = 50
"""Looks without input, ten a second, after which the rest of a packet is awaited no longer."""
_SURELY = 3
"""Characters of a start that no key sends."""

awaited = threading.Event()
"""Set while an answer is awaited: a single ESC at the end of what was read may begin one."""


class Packets:
    """Splits the input of a terminal into keys and packets."""

    def __init__(self) -> None:
        self._held = ""
        """The beginning of a start, at the end of what was read."""
        self._body: list[str] | None = None
        """The pieces of a packet whose end is still to come."""
        self._looks = 0

    def take(self, data: str) -> tuple[str, list[str]]:
        """Return what is for the keyboard, and the bodies of packets that are complete."""
        data, self._held, self._looks = self._held + data, "", 0
        keys, packets = "", list[str]()
        while data:
            if self._body is None:
                before, start, data = data.partition(START)
                keys += before
                if start:
                    self._body = []
                    continue
                break
            joined = "".join(self._body) + data
            end = _ENDS.search(joined)
            body = joined[: end.start()] if end else joined
            if not _BODY.fullmatch(body):  # it is no packet: it ends where that shows
                good = _BODY.match(body)
                data = joined[len(good[0].rstrip("\x1b")) if good else 0 :]
                self._body = None
            elif end is None:
                self._body = [joined[-_MOST_CHARACTERS:]]
                break
            else:
                packets.append(body)
                self._body, data = None, joined[end.end() :]
        if self._body is None:
            keys, self._held = _without_start(keys, 1 if awaited.is_set() else _SURELY)
        return keys, packets

    def look(self) -> str:
        """Return what was held back for nothing: the keyboard's, as nothing followed it."""
        self._looks += 1
        if self._looks > _PATIENCE:
            self._body = None
        if self._looks == 1:  # right after it was read
            return ""
        held, self._held = self._held, ""
        return held


def _without_start(text: str, least: int) -> tuple[str, str]:
    """Cut the beginning of a start off the end, if it has ``least`` characters."""
    for length in range(min(len(START) - 1, len(text)), least - 1, -1):
        if text.endswith(START[:length]):
            return text[:-length], text[-length:]
    return text, ""
