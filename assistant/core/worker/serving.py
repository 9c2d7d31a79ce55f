"""The worker's door: terminals come and go, what they ask for waits in one queue. No torch.

One thread runs all connections, so that a stop is heard during a forward pass
and a terminal that reads slowly, or sends nonsense, keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import socket
import sys
import threading
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.conversation import FinishReason, Usage
from assistant.core import GenerationEnded, Pixels
from assistant.core.worker.queueing import FairQueue, Request
from assistant.core.worker.wire import (
    MAX_HEADER,
    SIZES,
    FrameError,
    Header,
    pack,
    parse_header,
    prompt_from_json,
    sampling_from_json,
    text,
    whole,
)
from assistant.events import Phase
from assistant.pictures import MAX_PIXELS

if TYPE_CHECKING:
    from assistant.core.worker.rendezvous import Rendezvous

MAX_CLIENTS = 64
MAX_REQUESTS = 8
"""Of one client, waiting."""

_MAX_HELLO = 4096
_HELLO_WAIT_S = 10.0
_MAX_UNSENT = 8 << 20
"""Bytes that a client that does not read may leave unread (a suspended terminal, say)."""
_WATCH_S = 2.0
_DISCARD = 1 << 16


class _Client:
    """One connection; ``keep_alive`` is None for one that only asks for information."""

    def __init__(self, writer: StreamWriter) -> None:
        self.writer = writer
        self.keep_alive: int | None = None
        self.waited_s = 0.0
        """How long it has waited for the model, until a reply has told so."""


class Server:
    """Serves ``first``, the connection of whoever started the worker, and, with ``listener``,
    everyone else who shows the token. Ends the process when nobody needs it any more.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        token: str,
        first: socket.socket,
        listener: socket.socket | None = None,
        place: Rendezvous | None = None,
    ) -> None:
        self.queue = FairQueue()
        self._spec, self._token = spec, token
        self._first, self._listener, self._place = first, listener, place
        self._started = time.monotonic()
        self._members: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._shared = listener is not None
        self._ending = False
        self._idle: asyncio.TimerHandle | None = None
        self._status: Header = _status(Phase.LOADING, "Starting the engine")
        self._plan: Header | None = None
        self._loop = asyncio.new_event_loop()

    # For the thread that computes

    def start(self) -> None:
        """Serve in a thread of its own; must be called in the main thread, which hears signals."""
        heard, woken = socket.socketpair()
        for end in (heard, woken):
            end.setblocking(False)
        # A handler in Python would wait for the forward pass; this byte is written at once.
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._loop.add_reader(heard, self._signalled, heard, woken)
        threading.Thread(target=self._serve, daemon=True).start()

    def next_request(self) -> Request:
        """The next request, as soon as there is one; the one before is over."""
        request = self.queue.take()
        self._call(self._tell_positions)
        return request

    def send(self, request: Request, header: Header) -> None:
        """Tell the client of a request something about it."""
        assert isinstance(request.client, _Client)
        if header["ev"] in ("ended", "failed"):
            self.queue.finish()  # before its client can ask for more: that needs not wait for this
        self._call(self._write, request.client, {"id": request.number, **header})

    def tell_status(self, phase: Phase, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Tell everyone, those who come later too, how far the loading is."""
        self._call(self._spread, _status(phase, detail, done, total))

    def tell_plan(self, plan: Mapping[str, Any]) -> None:
        """Tell everyone, those who come later too, the memory plan (a JSON object)."""
        self._call(self._spread, {"ev": "planned", "plan": dict(plan)})

    def ready(self, load_s: float) -> None:
        """The model is loaded: whoever is here has waited for it."""
        self._call(self._loaded, load_s)

    def waited_s(self, request: Request) -> float:
        """How long the request's client waited for the model; told once."""
        client = request.client
        assert isinstance(client, _Client)
        waited, client.waited_s = client.waited_s, 0.0
        return waited

    def end(self, why: str, code: int = 0) -> None:
        """Send what is still to be sent, then end the process."""
        self._call(self._spawn_end, why, code)
        threading.Event().wait()  # until the process is gone

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    # In the loop's thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._spawn(self._attend(self._first, is_first=True))
        if self._listener is not None:
            self._listener.setblocking(False)
            self._spawn(self._accept(self._listener))
            self._spawn(self._watch())
        try:
            self._loop.run_forever()
        finally:
            os._exit(1)  # nobody could be served any more

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        from assistant.core.worker.rendezvous import peer_uid

        while True:
            try:
                connection, _ = await self._loop.sock_accept(listener)
            except OSError:  # too many open files, say: those who are here go on
                await asyncio.sleep(1)
                continue
            stranger = peer_uid(connection) not in (None, os.geteuid())
            if stranger or self._connections >= MAX_CLIENTS:
                connection.close()
                continue
            self._spawn(self._attend(connection))

    async def _watch(self) -> None:
        """A worker that nobody can find any more ends with its last client."""
        assert self._place is not None
        while self._place.holds(self._token):
            await asyncio.sleep(_WATCH_S)
        self._place = None
        if not self._members:
            self._end("its socket is gone")

    async def _attend(self, connection: socket.socket, is_first: bool = False) -> None:
        """One client, from its hello until it is gone."""
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        client = _Client(writer)
        self._connections += 1
        if is_first:
            self._members.add(client)  # or the worker would end before it has said hello
        try:
            await asyncio.wait_for(self._admit(client, reader), _HELLO_WAIT_S)
            while True:
                header_size, payload_size = SIZES.unpack(await reader.readexactly(SIZES.size))
                header = await _header(reader, header_size, MAX_HEADER)
                await self._obey(client, header, reader, payload_size)
        except FrameError as error:
            self._write(client, {"ev": "refused", "message": str(error)})
        except (IncompleteReadError, OSError, TimeoutError):
            pass  # it is gone, or says nothing
        finally:
            self._connections -= 1
            self._leave(client)
            writer.close()

    async def _admit(self, client: _Client, reader: StreamReader) -> None:
        """Let a client in that shows the token; tell it how things are."""
        header_size, payload_size = SIZES.unpack(await reader.readexactly(SIZES.size))
        header = await _header(reader, header_size, _MAX_HELLO)
        shown = text(header.get("token")).encode(errors="replace")
        if payload_size or header.get("op") != "hello":
            raise FrameError("the first frame is no hello")
        if not hmac.compare_digest(shown, self._token.encode()):
            raise FrameError("the token is wrong")
        self._write(client, {"ev": "welcome", "pid": os.getpid(), "shared": self._shared})
        if header.get("keep_alive") is None:
            return
        client.keep_alive = whole(header["keep_alive"], 0, 86_400)
        self._members.add(client)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._plan is not None:
            self._write(client, self._plan)
        self._write(client, self._status)

    async def _obey(
        self, client: _Client, header: Header, reader: StreamReader, payload_size: int
    ) -> None:
        op = header.get("op")
        if op == "pixels":
            await self._take_pixels(client, header, reader, payload_size)
            return
        if payload_size:
            raise FrameError("a payload came with something that has none")
        if op == "info":
            self._write(client, self._info())
        elif client.keep_alive is None:
            raise FrameError("a visitor may only ask for information")
        elif op == "generate":
            if self.queue.waiting_of(client) >= MAX_REQUESTS:
                raise FrameError("too many requests are waiting")
            self.queue.put(
                Request(
                    client,
                    whole(header.get("id")),
                    prompt_from_json(header.get("parts")),
                    sampling_from_json(header.get("sampling")),
                )
            )
            self._tell_positions()
        elif op == "stop":
            stopped = self.queue.stop(client, whole(header.get("id")))
            if stopped is not None:
                usage = Usage(stopped.prompt.tokens, stopped.prompt.picture_tokens)
                ended = GenerationEnded(FinishReason.STOPPED, usage, 0.0, 0.0)
                self._write(client, {"id": stopped.number, **ended_to_json(ended)})
                self._tell_positions()
        else:
            raise FrameError("no such operation")

    async def _take_pixels(
        self, client: _Client, header: Header, reader: StreamReader, payload_size: int
    ) -> None:
        """Pixels are kept only for the request that waits for them; others come too late."""
        request = self.queue.running(client, whole(header.get("id")))
        wanted = request is not None and request.pixels_wanted
        if header.get("error"):
            answer: Pixels | str = text(header["error"])
            if payload_size:
                raise FrameError("an error came with pixels")
        else:
            width, height = whole(header.get("width"), 1), whole(header.get("height"), 1)
            if width * height > MAX_PIXELS or payload_size != width * height * 3:
                raise FrameError("the pixels have another size than was said")
            if not wanted:
                while payload_size:
                    payload_size -= len(await reader.readexactly(min(payload_size, _DISCARD)))
                return
            answer = Pixels(width, height, await reader.readexactly(payload_size))
        if wanted and request is not None and request.pixels_wanted:
            request.pixels_wanted = False
            request.pixels.put(answer)

    def _write(self, client: _Client, header: Header) -> None:
        if client.writer.is_closing():
            return
        client.writer.write(pack(header))
        if client.writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            client.writer.transport.abort()

    def _spread(self, header: Header) -> None:
        if header["ev"] == "planned":
            self._plan = header
        else:
            self._status = header
        for client in self._members:
            if client.keep_alive is not None:  # the first may not have said hello yet
                self._write(client, header)

    def _loaded(self, load_s: float) -> None:
        for client in self._members:
            client.waited_s = load_s
        self._spread(_status(Phase.READY))

    def _tell_positions(self) -> None:
        for request, ahead in self.queue.order():
            if ahead and request.ahead != ahead:
                request.ahead = ahead
                assert isinstance(request.client, _Client)
                self._write(request.client, {"id": request.number, "ev": "queued", "ahead": ahead})

    def _info(self) -> Header:
        requests = len(self.queue.order()) + self.queue.is_running
        return {
            "ev": "info",
            "pid": os.getpid(),
            "uptime_s": time.monotonic() - self._started,
            "clients": len(self._members),
            "requests": requests,
            "spec": dict(self._spec),
            "phase": self._status["phase"],
            "plan": self._plan["plan"] if self._plan else None,
            "resident_bytes": _resident_bytes(),
        }

    def _leave(self, client: _Client) -> None:
        """Forget a client at once, what it asked for included; the last one leaves the worker
        idle for as long as that client wished."""
        self.queue.drop(client)
        self._tell_positions()
        if client not in self._members:
            return
        self._members.discard(client)
        if self._members or self._ending:
            return
        keep_alive = client.keep_alive or 0
        if not self._shared:
            self._end("its terminal is gone")
        elif self._place is None or not keep_alive:
            self._end("nobody uses it")
        else:
            self._idle = self._loop.call_later(
                keep_alive, self._end, f"nobody has used it for {keep_alive} s"
            )

    def _signalled(self, heard: socket.socket, woken: socket.socket) -> None:
        number = heard.recv(1)[0]
        if number in (signal.SIGTERM, signal.SIGINT):
            self._end(f"it was told to ({signal.Signals(number).name})")

    def _spawn_end(self, why: str, code: int) -> None:
        async def flush_and_end() -> None:
            self._ending = True
            self._close_door()  # nobody new may join a worker that ends
            writers = [client.writer for client in self._members]
            for writer in writers:
                writer.close()
            with suppress(OSError, TimeoutError):
                flushed = asyncio.gather(
                    *(w.wait_closed() for w in writers), return_exceptions=True
                )
                await asyncio.wait_for(flushed, 2)
            self._end(why, code)

        self._spawn(flush_and_end())

    def _end(self, why: str, code: int = 0) -> None:
        """End the process now; a forward pass under way is not worth waiting for."""
        self._close_door()
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ended: {why}", file=sys.stderr, flush=True)
        os._exit(code)

    def _close_door(self) -> None:
        # The socket is closed before its file is removed: whoever connected meanwhile hears at
        # once that nobody is here, and starts another worker.
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._place is not None:
            with suppress(OSError):
                self._place.remove(self._token)


async def _header(reader: StreamReader, size: int, limit: int) -> Header:
    if size > limit:
        raise FrameError("a header is too long")
    return parse_header(await reader.readexactly(size))


def ended_to_json(event: GenerationEnded) -> Header:
    """The last frame of a reply."""
    return {**asdict(event), "ev": "ended"}


def _status(phase: Phase, detail: str = "", done: int = 0, total: int = 0) -> Header:
    return {"ev": "status", "phase": phase, "detail": detail, "done": done, "total": total}


def _resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system has no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGESIZE")
