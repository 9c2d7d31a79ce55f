"""Handling of clients' frames: checked, queued, stopped, answered with pixels, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from assistant.pictures.decode import MAX_PIXELS
from assistant.values.conversation import FinishReason, Usage
from assistant.values.generation import GenerationEnded, Pixels
from assistant.worker.connection import Client
from assistant.worker.frames import (
    FrameError,
    Header,
    prompt_from_json,
    sampling_from_json,
    text,
    whole,
)
from assistant.worker.queue import FairQueue, Request

MAX_REQUESTS = 8
"""Of one client, waiting."""

MAX_FOLLOWING = 2**31
"""Positions."""


class RequestHandler:
    """Handles one frame after another; ``info`` describes the worker."""

    def __init__(self, queue: FairQueue, info: Callable[[], Header]) -> None:
        self._queue, self._info = queue, info

    async def handle(self, client: Client, header: Header, payload_size: int) -> None:
        """Do what a frame asks for. Raises FrameError for what no client of ours would ask."""
        op = header.get("op")
        if op == "pixels":
            await self._take_pixels(client, header, payload_size)
            return
        if payload_size:
            raise FrameError("a payload came with something that has none")
        if op == "info":
            client.write(self._info())
        elif client.keep_alive is None:
            raise FrameError("a visitor may only ask for information")
        elif op in ("generate", "read_ahead"):
            self._enqueue(client, header)
        elif op == "stop":
            self._stop(client, header)
        elif op == "forget":
            self._queue.forget(text(header.get("chat")))
        else:
            raise FrameError("no such operation")

    def send_positions(self) -> None:
        """Send every client that waits how many requests are before its own, where that changed."""
        for request, ahead in self._queue.order():
            if ahead and request.ahead != ahead:
                request.ahead = ahead
                assert isinstance(request.client, Client)
                request.client.write({"id": request.number, "ev": "queued", "ahead": ahead})

    def forget(self, client: Client) -> None:
        """Drop all that a client asked for, what runs included."""
        self._queue.drop(client)
        self.send_positions()

    def _enqueue(self, client: Client, header: Header) -> None:
        if self._queue.waiting_of(client) >= MAX_REQUESTS:
            raise FrameError("too many requests are waiting")
        number = whole(header.get("id"))
        prompt = prompt_from_json(
            header.get("parts"), header.get("begun", 0), header.get("chat", "")
        )
        request = Request(client, number, prompt)
        if header["op"] == "read_ahead":
            request.following = whole(header.get("following"), 0, MAX_FOLLOWING)
        else:
            request.sampling = sampling_from_json(header.get("sampling"))
        self._tell_over(self._queue.put(request))
        self.send_positions()

    def _tell_over(self, request: Request | None) -> None:
        """Tell the client of a request to read ahead that it is not begun any more."""
        if request is not None and request.following is not None:
            assert isinstance(request.client, Client)
            request.client.write({"id": request.number, "ev": "read", "whole": False})

    def _stop(self, client: Client, header: Header) -> None:
        stopped = self._queue.stop(client, whole(header.get("id")))
        self._tell_over(stopped)
        if stopped is not None and stopped.following is None:
            usage = Usage(stopped.prompt.tokens, stopped.prompt.picture_tokens)
            ended = GenerationEnded(FinishReason.STOPPED, usage, 0.0, 0.0)
            client.write({"id": stopped.number, **ended_to_json(ended)})
            self.send_positions()

    async def _take_pixels(self, client: Client, header: Header, payload_size: int) -> None:
        """Pixels are kept only for the request that waits for them; others come too late."""
        request = self._queue.running(client, whole(header.get("id")))
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
                await client.skip(payload_size)
                return
            answer = Pixels(width, height, await client.payload(payload_size))
        if wanted and request is not None and request.pixels_wanted:
            request.pixels_wanted = False
            request.pixels.put(answer)


def ended_to_json(event: GenerationEnded) -> Header:
    """Encode the last frame of a reply."""
    return {**asdict(event), "ev": "ended"}
