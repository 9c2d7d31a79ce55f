"""The server's end of one connection. A client that does not read never blocks another."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter

from assistant.worker.frames import SIZES, FrameError, Header, pack, parse_header

_MAX_UNSENT = 8 << 20
"""Bytes that a client that does not read may leave unread (a suspended terminal, say)."""

_DISCARD = 1 << 16


class Client:
    """One connection; ``keep_alive`` is None for one that only asks for information.

    What reads raises FrameError for what no client of ours would send, IncompleteReadError and
    OSError when the client is gone.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.keep_alive: int | None = None
        self.waited_s = 0.0
        """Seconds that it has waited for the model; 0 once a reply has reported them."""

    async def next_header(self, limit: int) -> tuple[Header, int]:
        """Read the next frame's header, of at most ``limit`` bytes, and the size of its payload."""
        header_size, payload_size = SIZES.unpack(await self._reader.readexactly(SIZES.size))
        if header_size > limit:
            raise FrameError("a header is too long")
        return parse_header(await self._reader.readexactly(header_size)), payload_size

    async def payload(self, size: int) -> bytes:
        """Read the payload of the frame whose header came last."""
        return await self._reader.readexactly(size)

    async def skip(self, size: int) -> None:
        """Let a payload pass without keeping it."""
        while size:
            size -= len(await self._reader.readexactly(min(size, _DISCARD)))

    def write(self, header: Header) -> None:
        """Send a frame as soon as the client reads; one that leaves too much unread is cut off."""
        if self.writer.is_closing():
            return
        self.writer.write(pack(header))
        if self.writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            self.writer.transport.abort()
