"""Frames between terminals and the worker: a JSON header and raw bytes, over a socket.

No pickle: a frame can carry numbers, text and bytes, and nothing that runs.
Whatever a client sends is checked here before the worker believes it.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin, get_type_hints

from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling

SIZES = struct.Struct("<IQ")
"""Before each frame: bytes of the header, bytes of the payload."""

MAX_HEADER = 4 << 20
"""Bytes; 131,072 ids take 0.9 MB as JSON."""

MAX_DETAIL = 64
"""As in the settings."""

Header = dict[str, Any]


class FrameError(Exception):
    """A frame that no client of ours would send; the connection is not worth keeping."""


class Channel:
    """A terminal's end of the connection; sending is thread-safe, receiving is for one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send one frame. Raises OSError when the other end is gone."""
        with self._sending:
            self._connection.sendall(pack(header, len(payload)))
            if payload:
                self._connection.sendall(payload)

    def receive(self) -> Header | None:
        """Receive the next frame (none that a terminal gets has a payload); None at the end.

        Raises FrameError when what comes is no frame.
        """
        sizes = self._read(SIZES.size)
        if sizes is None:
            return None
        header_size, payload_size = SIZES.unpack(sizes)
        if header_size > MAX_HEADER or payload_size:
            raise FrameError("a frame is longer than any of ours")
        text = self._read(header_size)
        return None if text is None else parse_header(text)

    def limit_wait(self, seconds: float | None) -> None:
        """From now on the end has come when nothing comes for ``seconds``."""
        with suppress(OSError):
            self._connection.settimeout(seconds)

    def has_data(self, seconds: float) -> bool:
        """Wait so long for something to receive, an end included; returns whether it came."""
        try:
            return bool(select.select([self._connection], [], [], seconds)[0])
        except (OSError, ValueError):  # it was closed meanwhile
            return True

    def _read(self, size: int) -> bytearray | None:
        buffer = bytearray(size)
        view, at = memoryview(buffer), 0
        while at < size:
            try:
                count = self._connection.recv_into(view[at:])
            except OSError:
                return None
            if not count:
                return None
            at += count
        return buffer

    def close(self) -> None:
        """Close both directions; a receive() on either end returns None."""
        with suppress(OSError):  # the other end may have closed first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def pack(header: Header, payload_size: int = 0) -> bytes:
    """Encode a frame up to its payload."""
    text = json.dumps(header).encode()
    return SIZES.pack(len(text), payload_size) + text


def parse_header(text: bytes | bytearray) -> Header:
    """Decode a JSON object. Raises FrameError for anything else."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise FrameError("a header is not JSON") from None
    if not isinstance(header, dict):
        raise FrameError("a header is not an object")
    return header


def whole(value: object, low: int = 0, high: int = 2**53) -> int:
    """Check for a whole number between ``low`` and ``high``, both included. Raises FrameError."""
    if type(value) is not int or not low <= value <= high:
        raise FrameError("a number is missing, no whole number, or out of range")
    return value


def text(value: object) -> str:
    """Check for a text. Raises FrameError."""
    if not isinstance(value, str):
        raise FrameError("a text is missing")
    return value


def prompt_to_json(prompt: Prompt) -> list[Any]:
    """Encode runs of ids as lists, slots as objects."""
    return [
        {"pixels": p.pixels_sha256, "detail": p.detail, "tokens": p.tokens}
        if isinstance(p, Slot)
        else list(p)
        for p in prompt.parts
    ]


def prompt_from_json(parts: object, begun: object = 0, chat: object = "") -> Prompt:
    """Decode :func:`prompt_to_json`, and what is beside it in a frame. Raises FrameError."""
    if not isinstance(parts, list):
        raise FrameError("a prompt is not a list")
    read = tuple(_part(part) for part in parts)
    last = read[-1] if read else ()
    most = len(last) if isinstance(last, tuple) else 0
    return Prompt(read, whole(begun, 0, most), text(chat))


def _part(part: object) -> tuple[int, ...] | Slot:
    if isinstance(part, dict):
        return Slot(
            text(part.get("pixels")),
            whole(part.get("detail"), 1, MAX_DETAIL),
            whole(part.get("tokens"), 1),
        )
    if not isinstance(part, list) or any(type(i) is not int or not 0 <= i < 2**31 for i in part):
        raise FrameError("a part of a prompt is neither ids nor a picture")
    return tuple(part)


def sampling_from_json(value: object) -> Sampling:
    """Decode ``dataclasses.asdict`` of a Sampling. Raises FrameError for wrong names and types."""
    kinds = get_type_hints(Sampling)
    if not isinstance(value, dict) or not value.keys() <= kinds.keys():
        raise FrameError("the sampling is not one of ours")
    return Sampling(**{name: _typed(given, kinds[name]) for name, given in value.items()})


def _typed(value: object, kind: Any) -> Any:
    """Return ``value`` if it is of the annotated type; JSON's lists become tuples."""
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise FrameError("a list is missing")
        return tuple(_typed(item, get_args(kind)[0]) for item in value)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise FrameError("a value is none of its choices")
        return value
    kinds = get_args(kind) or (kind,)
    if float in kinds and type(value) in (int, float):
        # the comparison is exact for whole numbers too long for a float
        if not abs(value) <= 1e300:  # type: ignore[arg-type]
            raise FrameError("a number is not finite")
        return float(value)  # type: ignore[arg-type]
    if type(value) not in kinds or (type(value) is int and not abs(value) < 2**64):
        raise FrameError("a value has the wrong type")
    return value
