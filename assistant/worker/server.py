"""The worker's server: terminals connect and leave, their requests wait in one queue. No torch.

One thread runs all connections, so that a stop is heard during a forward pass
and a terminal that reads slowly, or sends nonsense, keeps no other waiting.
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
from asyncio import IncompleteReadError
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from assistant.values.events import Phase
from assistant.worker.connection import Client
from assistant.worker.frames import MAX_HEADER, FrameError, Header, text, whole
from assistant.worker.queue import FairQueue, Request
from assistant.worker.requests import RequestHandler

if TYPE_CHECKING:
    from assistant.worker.rendezvous import Rendezvous

MAX_CLIENTS = 64

_MAX_HELLO = 4096
_HELLO_WAIT_S = 10.0
_WATCH_S = 2.0


class Server:
    """Serves ``first``, the connection of the terminal that started the worker.

    With ``listener`` it serves every client that shows the token. Ends the process when no
    client needs it any more.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        token: str,
        first: socket.socket,
        listener: socket.socket | None = None,
        place: Rendezvous | None = None,
    ) -> None:
        self._queue = FairQueue()
        self._handler = RequestHandler(self._queue, self._info)
        self._spec, self._token = spec, token
        self._first, self._listener, self._place = first, listener, place
        self._started = time.monotonic()
        self._members: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._shared = listener is not None
        self._ending = False
        self._idle: asyncio.TimerHandle | None = None
        self._status: Header = _status(Phase.LOADING, "Starting the engine")
        self._plan: Header | None = None
        self.vision_passes = 0
        """Passes of the vision tower so far."""
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

    def next_request(self, forget: Callable[[str], None]) -> Request:
        """Return the next request, as soon as there is one; the one before is over.

        ``forget`` is called meanwhile for each session of which nothing shall be kept.
        """
        request = self._queue.take(forget)
        self._call(self._handler.send_positions)
        return request

    def send(self, request: Request, header: Header) -> None:
        """Send the client of a request an event of it."""
        assert isinstance(request.client, Client)
        if header["ev"] in ("ended", "failed"):
            self._queue.finish()  # before its client can ask for more: that needs not wait for this
        self._call(request.client.write, {"id": request.number, **header})

    def finish_ahead(self, request: Request, *, whole: bool) -> None:
        """End a request to read ahead: its client hears of it unless it goes on later."""
        assert isinstance(request.client, Client)
        if self._queue.finish_ahead(request, whole=whole):
            self._call(request.client.write, {"id": request.number, "ev": "read", "whole": whole})

    def send_status(self, phase: Phase, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Send the progress of loading to all clients, later ones too."""
        self._call(self._broadcast, _status(phase, detail, done, total))

    def send_plan(self, plan: Mapping[str, Any]) -> None:
        """Send the memory plan (a JSON object) to all clients, later ones too."""
        self._call(self._broadcast, {"ev": "planned", "plan": dict(plan)})

    def ready(self, load_s: float) -> None:
        """Report that the model is loaded; all clients have waited ``load_s`` for it."""
        self._call(self._loaded, load_s)

    def waited_s(self, request: Request) -> float:
        """Return the seconds that a client waited for the model; 0 after the first time."""
        client = request.client
        assert isinstance(client, Client)
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
        self._spawn(self._serve_client(self._first, is_first=True))
        if self._listener is not None:
            self._listener.setblocking(False)
            self._spawn(self._accept(self._listener))
            self._spawn(self._watch())
        try:
            self._loop.run_forever()
        finally:
            os._exit(1)  # no client could be served any more

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        from assistant.worker.rendezvous import peer_uid

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
            self._spawn(self._serve_client(connection))

    async def _watch(self) -> None:
        """End with the last client once the socket is gone and no other can find this worker."""
        assert self._place is not None
        while self._place.holds(self._token):
            await asyncio.sleep(_WATCH_S)
        self._place = None
        if not self._members:
            self._end("its socket is gone")

    async def _serve_client(self, connection: socket.socket, is_first: bool = False) -> None:
        """One client, from its hello until it is gone."""
        client = Client(*await asyncio.open_unix_connection(sock=connection))
        self._connections += 1
        if is_first:
            self._members.add(client)  # or the worker would end before it has said hello
        try:
            await asyncio.wait_for(self._admit(client), _HELLO_WAIT_S)
            while True:
                await self._handler.handle(client, *await client.next_header(MAX_HEADER))
        except FrameError as error:
            client.write({"ev": "refused", "message": str(error)})
        except (IncompleteReadError, OSError, TimeoutError):
            pass  # it is gone, or says nothing
        finally:
            self._connections -= 1
            self._leave(client)
            client.writer.close()

    async def _admit(self, client: Client) -> None:
        """Let a client in that shows the token, and send it the current state."""
        header, payload_size = await client.next_header(_MAX_HELLO)
        shown = text(header.get("token")).encode(errors="replace")
        if payload_size or header.get("op") != "hello":
            raise FrameError("the first frame is no hello")
        if not hmac.compare_digest(shown, self._token.encode()):
            raise FrameError("the token is wrong")
        client.write({"ev": "welcome", "pid": os.getpid(), "shared": self._shared})
        if header.get("keep_alive") is None:
            return
        client.keep_alive = whole(header["keep_alive"], 0, 86_400)
        self._members.add(client)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._plan is not None:
            client.write(self._plan)
        client.write(self._status)

    def _broadcast(self, header: Header) -> None:
        if header["ev"] == "planned":
            self._plan = header
        else:
            self._status = header
        for client in self._members:
            if client.keep_alive is not None:  # the first may not have said hello yet
                client.write(header)

    def _loaded(self, load_s: float) -> None:
        for client in self._members:
            client.waited_s = load_s
        self._broadcast(_status(Phase.READY))

    def _info(self) -> Header:
        requests = len(self._queue.order()) + self._queue.is_running
        return {
            "ev": "info",
            "pid": os.getpid(),
            "uptime_s": time.monotonic() - self._started,
            "clients": len(self._members),
            "requests": requests,
            "vision_passes": self.vision_passes,
            "spec": dict(self._spec),
            "phase": self._status["phase"],
            "plan": self._plan["plan"] if self._plan else None,
            "resident_bytes": psutil.Process().memory_info().rss,
        }

    def _leave(self, client: Client) -> None:
        """Forget a client and its requests at once.

        After the last client the worker stays idle for as long as that client wished.
        """
        self._handler.forget(client)
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
            self._stop_listening()  # no client may join a worker that ends
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
        self._stop_listening()
        for client in self._members:
            client.write(
                {"ev": "leaving"}
            )  # reaches every client that reads: what fits the socket is sent
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ended: {why}", file=sys.stderr, flush=True)
        os._exit(code)

    def _stop_listening(self) -> None:
        # The socket is closed before its file is removed: a client that connected meanwhile is
        # refused at once and starts another worker.
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._place is not None:
            with suppress(OSError):
                self._place.remove(self._token)


def _status(phase: Phase, detail: str = "", done: int = 0, total: int = 0) -> Header:
    return {"ev": "status", "phase": phase, "detail": detail, "done": done, "total": total}
