"""Frames between the app and the decoder: a JSON header, and bytes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

Header = dict[str, Any]

MOST_HEADER = 1 << 20
"""Largest header, in bytes: it may hold a thumbnail."""

_SIZES = struct.Struct("<II")


class FrameError(Exception):
    """The other side sent what it never should."""


def send(
    link: socket.socket,
    header: Header,
    payload: Iterable[bytes] = (),
    size: int = 0,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Send a frame; ``payload`` has ``size`` bytes in all.

    ``look`` is called whenever the link's timeout passes; what it raises ends this.
    """
    body = json.dumps(header).encode()
    for piece in (_SIZES.pack(len(body), size), body, *payload):
        left = memoryview(piece)
        while left:
            try:
                left = left[link.send(left) :]
            except TimeoutError:
                look()


def receive(
    link: socket.socket, most: int, look: Callable[[], None] = lambda: None
) -> tuple[Header, bytearray]:
    """Receive a frame of at most ``most`` bytes besides the header.

    Raises EOFError where the other side has gone.
    """
    header_size, size = _SIZES.unpack(_exactly(link, _SIZES.size, look))
    if header_size > MOST_HEADER or size > most:
        raise FrameError("a frame is too large")
    try:
        header = json.loads(_exactly(link, header_size, look))
    except ValueError as error:
        raise FrameError("a header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a header is no object")
    return header, _exactly(link, size, look)


def _exactly(link: socket.socket, size: int, look: Callable[[], None]) -> bytearray:
    data = bytearray(size)
    left = memoryview(data)
    while left:
        try:
            count = link.recv_into(left)
        except TimeoutError:
            look()
            continue
        if not count:
            raise EOFError
        left = left[count:]
    return data
