"""Fair queue of requests: many terminals share one model.

A request to read ahead runs while no reply is wanted, and gives way to one.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import zip_longest

from assistant.values.generation import Pixels
from assistant.values.prompt import Prompt, common_start
from assistant.values.sampling import Sampling


@dataclass(eq=False, slots=True)
class Request:
    """A reply that a client asked for, or a prompt to read ahead; it chose the ``number``."""

    client: Hashable
    number: int
    prompt: Prompt
    sampling: Sampling = Sampling()  # noqa: RUF009 (a frozen value)
    following: int | None = None
    """None for a reply; else the prompt is only read, and about so many positions will follow."""
    paused: threading.Event = field(default_factory=threading.Event)
    """It ends as soon as what is being computed, which a reply needs too, is complete."""
    is_over: bool = False
    """It is not to be begun, or gone on with, any more."""
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

    def give_way(self, reply: Request) -> None:
        """Stop reading ahead for a reply; what that reads too is completed first."""
        if common_start(self.prompt, reply.prompt) == self.prompt:
            self.paused.set()
            self.pixels.put(None)
        else:
            self.stop()

    def begin_again(self) -> None:
        """Make it ready to go on after it gave way."""
        self.stopped.clear()
        self.paused.clear()
        self.pixels = queue.SimpleQueue()


class FairQueue:
    """Requests in turn: one of each client that waits, then the next of each; one runs at a time.

    Where no reply is wanted, prompts are read ahead, one of each client at most: its next one, and
    its next reply, take the place of it. Thread-safe.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[Request]] = OrderedDict()
        self._ahead: OrderedDict[Hashable, Request] = OrderedDict()
        self._running: Request | None = None
        self._forgotten: set[str] = set()
        self._changed = threading.Condition()

    def put(self, request: Request) -> Request | None:
        """Let a request wait for its turn; returns the one whose place it takes, if that waited."""
        with self._changed:
            replaced = self._ahead.pop(request.client, None)
            running = self._running
            if running is not None and running.following is not None:
                if running.client is request.client:
                    running.is_over = True
                if request.following is None:
                    running.give_way(request)
                elif running.is_over:
                    running.stop()
            if request.following is None:
                self._waiting.setdefault(request.client, deque()).append(request)
            else:
                self._ahead[request.client] = request
            self._changed.notify()
            return replaced

    def forget(self, chat: str) -> None:
        """Let what is kept of a session be given back, before the next request is taken."""
        with self._changed:
            self._forgotten.add(chat)
            self._changed.notify()

    def take(self, forget: Callable[[str], None] = lambda chat: None) -> Request:
        """Return the next request, as soon as there is one; it runs until it is finished.

        ``forget`` is called meanwhile for each session of which nothing shall be kept.
        """
        with self._changed:
            while not (self._waiting or self._ahead) or self._forgotten:
                while self._forgotten:
                    forget(self._forgotten.pop())
                self._changed.wait_for(lambda: self._waiting or self._ahead or self._forgotten)
            if not self._waiting:
                _, self._running = self._ahead.popitem(last=False)
                return self._running
            client, requests = self._waiting.popitem(last=False)
            self._running = requests.popleft()
            if requests:
                self._waiting[client] = requests  # at the end: the others come first
            return self._running

    def finish(self) -> None:
        """End the running request."""
        with self._changed:
            self._running = None

    def finish_ahead(self, request: Request, *, whole: bool) -> bool:
        """End the running request to read ahead; returns whether it is over.

        One that gave way to another client's reply goes on after it.
        """
        with self._changed:
            self._running = None
            if (
                whole
                or request.is_over
                or not (request.paused.is_set() or request.stopped.is_set())
            ):
                return True
            request.begin_again()
            self._ahead[request.client] = request
            self._ahead.move_to_end(request.client, last=False)
            return False

    @property
    def is_running(self) -> bool:
        """Whether a reply was taken and is not over."""
        with self._changed:
            return self._running is not None and self._running.following is None

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
                request.is_over = True
                request.stop()
                return None
            if (request := self._ahead.get(client)) is not None and request.number == number:
                return self._ahead.pop(client)
            for request in self._waiting.get(client, ()):
                if request.number == number:
                    self._take_out(request)
                    return request
            return None

    def drop(self, client: Hashable) -> None:
        """Forget everything that a client asked for."""
        with self._changed:
            self._waiting.pop(client, None)
            self._ahead.pop(client, None)
            if self._running is not None and self._running.client is client:
                self._running.is_over = True
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
            return list(zip(waiting, range(self.is_running, 2**31), strict=False))

    def _take_out(self, request: Request) -> None:
        requests = self._waiting[request.client]
        requests.remove(request)
        if not requests:
            del self._waiting[request.client]
