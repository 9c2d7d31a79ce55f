"""Frames between the app and its worker: a JSON header and raw bytes, over a socket pair.

No pickle: a frame can carry numbers, text and bytes, and nothing that runs.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

from assistant.prompt import Prompt, Slot

_SIZES = struct.Struct("<IQ")
Header = dict[str, Any]


class Channel:
    """One end of the connection; sending is thread-safe, receiving is for one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send one frame. Raises OSError when the other end is gone."""
        text = json.dumps(header).encode()
        with self._sending:
            self._connection.sendall(_SIZES.pack(len(text), len(payload)) + text)
            if payload:
                self._connection.sendall(payload)

    def receive(self) -> tuple[Header, bytes] | None:
        """The next frame, or None when the other end has closed."""
        sizes = self._read(_SIZES.size)
        if sizes is None:
            return None
        text_size, payload_size = _SIZES.unpack(sizes)
        text, payload = self._read(text_size), self._read(payload_size)
        if text is None or payload is None:
            return None
        header: Header = json.loads(text)
        return header, bytes(payload)

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


def prompt_to_json(prompt: Prompt) -> list[Any]:
    """Runs of ids as lists, slots as objects."""
    return [
        {"pixels": p.pixels_sha256, "num_crops": p.num_crops, "tokens": p.tokens}
        if isinstance(p, Slot)
        else list(p)
        for p in prompt.parts
    ]


def prompt_from_json(parts: list[Any]) -> Prompt:
    """The inverse of :func:`prompt_to_json`."""
    return Prompt(
        tuple(
            Slot(p["pixels"], p["num_crops"], p["tokens"]) if isinstance(p, dict) else tuple(p)
            for p in parts
        )
    )
