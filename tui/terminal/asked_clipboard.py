"""The clipboard of the terminal, asked for by OSC 5522: kitty's protocol, which works over ssh.

https://sw.kovidgoyal.net/kitty/clipboard/ describes it. The media types are asked for first: that
needs no permission, so a terminal that doesn't know the question is known by its silence.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue

from assistant.values.errors import PictureError
from assistant.values.words import file_size
from tui.terminal.packets import awaited

Watch = Callable[[int, int], None]
"""Called with the bytes that arrived, and 0; an exception from it ends the reading."""

LIST_S = 3.0
"""Seconds for the list of media types: no user is asked for it, but the line may be slow."""
PERMISSION_S = 60.0
"""Seconds in which the user may answer the terminal's question for permission."""
STALL_S = 15.0
"""Seconds without a packet after which a picture is given up."""
LOOK_S = 0.1
MOST_BYTES = 64 << 20
"""Largest picture; no file may be larger either."""

_LIST = "."
_INSTEAD = "save the picture to a file and attach that"
_LARGER = f"The picture in the clipboard is larger than {file_size(MOST_BYTES)}; {_INSTEAD}."
_LATE = "The terminal gave nothing of its clipboard in time; paste again."
_SILENT = f"This terminal doesn't give programs its clipboard (kitty does); {_INSTEAD}."
_SENTENCES = {
    "EPERM": (
        f"The terminal refused to have its clipboard read; paste again and allow it, or {_INSTEAD}."
    ),
    "EBUSY": "The terminal's clipboard is busy; paste again.",
    "ENOSYS": f"The terminal has no clipboard that can be read; {_INSTEAD}.",
}
_ids = count(1)


@dataclass(frozen=True, slots=True)
class _Packet:
    status: str
    media_type: str
    data: bytes


class AskedClipboard:
    """Reads the clipboard by questions to the terminal and by packets that come back."""

    def __init__(self, write: Callable[[str], None], environ: Mapping[str, str]) -> None:
        self._write = write
        self._between = _between(environ)
        self._packets: SimpleQueue[str] = SimpleQueue()
        self._busy = threading.Lock()
        self._id = ""
        self.limits = (LIST_S, PERMISSION_S, STALL_S)

    def take(self, packet: str) -> None:
        """Take a packet that the terminal sent, asked for or not."""
        if self._busy.locked():
            self._packets.put(packet)

    def read(self, media_types: Sequence[str], watch: Watch) -> bytes:
        """Read a picture of the first of these types, in a thread. Raises PictureError."""
        if self._between:
            raise PictureError(f"{self._between} passes no clipboard on; {_INSTEAD}.")
        if not self._busy.acquire(blocking=False):
            raise PictureError("The terminal is still being asked for its clipboard.")
        try:
            awaited.set()
            to_list, to_permit, _ = self.limits
            there = self._ask(_LIST, to_list, watch).decode("utf-8", "replace").split()
            kind = next((kind for kind in media_types if kind in there), None)
            data = self._ask(kind, to_permit, watch) if kind else b""
        finally:
            awaited.clear()
            self._busy.release()
        if not data:
            raise PictureError("There is no picture in the clipboard; copy one first.")
        return data

    def _ask(self, kind: str, seconds: float, watch: Watch) -> bytes:
        """Ask for one media type and put its packets together."""
        self._id = f"phichat-{next(_ids)}"
        while not self._packets.empty():
            self._packets.get()
        wanted = base64.b64encode(kind.encode()).decode()
        self._write(f"\x1b]5522;type=read:id={self._id};{wanted}\x1b\\")
        pieces, size, sentence = list[bytes](), 0, _SILENT if kind == _LIST else _LATE
        while (packet := self._next(seconds, sentence, size, watch)).status != "DONE":
            if packet.status == "DATA" and packet.media_type == kind:
                pieces.append(packet.data)
                size += len(packet.data)
            elif packet.status not in ("OK", "DATA"):
                raise PictureError(_SENTENCES.get(packet.status) or _nonsense(packet.status))
            if size > MOST_BYTES:
                raise PictureError(_LARGER)
            seconds, sentence = self.limits[2], _LATE
        return b"".join(pieces)

    def _next(self, seconds: float, sentence: str, size: int, watch: Watch) -> _Packet:
        """Wait for the next packet that answers. Raises PictureError(``sentence``)."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            watch(size, 0)
            try:
                packet = _parsed(self._packets.get(timeout=min(LOOK_S, left)), self._id)
            except Empty:
                continue
            if packet is not None:
                return packet
        raise PictureError(sentence)


def _between(environ: Mapping[str, str]) -> str:
    """Name a program between the terminal and this one that would eat the answer or the question.

    tmux types an answer into whichever pane has the focus.
    """
    term = environ.get("TERM", "").lower()
    if environ.get("TMUX") or term.startswith("tmux"):
        return "tmux"
    if environ.get("TEXTUAL_DRIVER"):
        return "The browser"
    return "screen" if environ.get("STY") or term.startswith("screen") else ""


def _parsed(packet: str, wanted_id: str) -> _Packet | None:
    """Read a packet; None for one that answers another question."""
    about, _, payload = packet.partition(";")
    fields = dict(part.partition("=")[::2] for part in about.split(":"))
    if fields.get("type") != "read" or fields.get("id", wanted_id) != wanted_id:
        return None
    media_type = _decoded(fields.get("mime", "")).decode("utf-8", "replace")
    return _Packet(fields.get("status", ""), media_type, _decoded(payload))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PictureError(_nonsense("no base64")) from None


def _nonsense(found: str) -> str:
    return f"The terminal's answer about its clipboard can't be read ({found}); {_INSTEAD}."
