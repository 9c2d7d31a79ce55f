"""One HTTP request, streamed as it is answered; any thread can close it."""

from __future__ import annotations

import asyncio
import queue
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import httpx2

CONNECT_S = 10.0
"""Longest wait for a connection, name lookup included."""
SILENCE_S = 300.0
"""Longest wait for the next byte. A picture takes minutes where a server computes on a CPU."""
LOOK_S = 5.0
"""Longest time for an answer that takes no computing."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a response."""

    status: int
    location: str
    retry_after: str


FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
"""Exceptions of an exchange; a TimeoutError is an OSError."""


def _client(*, proxies: bool) -> httpx2.AsyncClient:
    timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    try:
        return httpx2.AsyncClient(timeout=timeout, trust_env=proxies, verify=_tls())
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # a proxy that is no address, or of a kind that needs another library
        raise httpx2.ProxyError(str(error)) from error


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates, once: it takes longer than a request to this machine."""
    return httpx2.create_ssl_context()


class Exchange(Iterator[Head | bytes]):
    """Yields the :class:`Head`, then the body in pieces as they come.

    Redirects are not followed: the key and the pictures go to the given address only. The request
    runs in a thread with an event loop of its own, because it can be cancelled there at any
    moment: during name lookup, while the server computes, between two bytes. Raises one of
    :data:`FAILURES`, and TimeoutError after ``total_s`` seconds altogether.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        proxies: bool = True,
        total_s: float | None = None,
    ) -> None:
        """Begin a POST of ``body``, or a GET; ``proxies`` obeys HTTP_PROXY and the like."""
        self._url, self._headers, self._body = url, dict(headers), body
        self._proxies, self._total_s = proxies, total_s
        self._heard: queue.SimpleQueue[Head | bytes | BaseException] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._talk())
        threading.Thread(target=self._run, name="phichat-server", daemon=True).start()

    def __next__(self) -> Head | bytes:
        heard = self._heard.get()
        if isinstance(heard, BaseException):
            self._heard.put(heard)  # for the next caller
            raise heard
        return heard

    def close(self) -> None:
        """End the request; a caller that waits for the next piece gets the end."""
        self._heard.put(StopIteration())
        with suppress(RuntimeError):  # the loop is closed: it is over already
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._task)
        except BaseException as error:
            self._heard.put(StopIteration() if isinstance(error, asyncio.CancelledError) else error)
        else:
            self._heard.put(StopIteration())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _talk(self) -> None:
        async with (
            asyncio.timeout(self._total_s),
            _client(proxies=self._proxies) as client,
            client.stream(
                "GET" if self._body is None else "POST",
                self._url,
                headers=self._headers,
                content=self._body,
                follow_redirects=False,
            ) as response,
        ):
            headers = response.headers
            self._heard.put(
                Head(
                    response.status_code,
                    headers.get("Location", ""),
                    headers.get("Retry-After", ""),
                )
            )
            async for piece in response.aiter_bytes():
                self._heard.put(piece)
