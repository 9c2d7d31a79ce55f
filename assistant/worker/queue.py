"""Fair queue of requests: many terminals share one model."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import zip_longest

from assistant.values.generation import Pixels
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling


@dataclass(eq=False, slots=True)
class Request:
    """A reply that a client asked for; ``number`` is the client's own."""

    client: Hashable
    number: int
    prompt: Prompt
    sampling: Sampling
    stopped: threading.Event = field(default_factory=threading.Event)
    pixels_wanted: bool = False
    """A picture's pixels may come now, and at no other time."""
    pixels: queue.SimpleQueue[Pixels | str | None] = field(default_factory=queue.SimpleQueue)
    """Pixels, or why there are none; None is a stop."""
    ahead: int = 0
    """Requests before it, as its client heard last."""

    def stop(self) -> None:
        """End it within a token, also while it waits for a picture."""
        self.stopped.set()
        self.pixels.put(None)


class FairQueue:
    """Requests in turn: one of each client that waits, then the next of each; one runs at a time.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[Request]] = OrderedDict()
        self._running: Request | None = None
        self._changed = threading.Condition()

    def put(self, request: Request) -> None:
        """Let a request wait for its turn."""
        with self._changed:
            self._waiting.setdefault(request.client, deque()).append(request)
            self._changed.notify()

    def take(self) -> Request:
        """Return the next request, as soon as there is one; it runs until :meth:`finish`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            client, requests = self._waiting.popitem(last=False)
            self._running = requests.popleft()
            if requests:
                self._waiting[client] = requests  # at the end: the others come first
            return self._running

    def finish(self) -> None:
        """End the running request."""
        with self._changed:
            self._running = None

    @property
    def is_running(self) -> bool:
        """Whether a request was taken and is not over."""
        with self._changed:
            return self._running is not None

    def running(self, client: Hashable, number: int) -> Request | None:
        """Return that request if it is running."""
        with self._changed:
            request = self._running
            if request is None or (request.client, request.number) != (client, number):
                return None
            return request

    def stop(self, client: Hashable, number: int) -> Request | None:
        """Stop a client's request; one that had not begun is taken out and returned."""
        with self._changed:
            if (request := self.running(client, number)) is not None:
                request.stop()
                return None
            for request in self._waiting.get(client, ()):
                if request.number == number:
                    self._take_out(request)
                    return request
            return None

    def drop(self, client: Hashable) -> None:
        """Forget everything that a client asked for."""
        with self._changed:
            self._waiting.pop(client, None)
            if self._running is not None and self._running.client is client:
                self._running.stop()

    def waiting_of(self, client: Hashable) -> int:
        """Count the requests of a client that wait."""
        with self._changed:
            return len(self._waiting.get(client, ()))

    def order(self) -> list[tuple[Request, int]]:
        """List the waiting requests, the next first, each with how many are before it."""
        with self._changed:
            rounds = zip_longest(*self._waiting.values())
            waiting = [request for one in rounds for request in one if request is not None]
            return list(zip(waiting, range(self._running is not None, 2**31), strict=False))

    def _take_out(self, request: Request) -> None:
        requests = self._waiting[request.client]
        requests.remove(request)
        if not requests:
            del self._waiting[request.client]
