"""Terminals for tests of the worker: one that follows the protocol by hand, and small helpers."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from assistant.values.generation import Pixels, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore
from assistant.worker.frames import Channel, Header, prompt_to_json
from assistant.worker.rendezvous import SUFFIX, Rendezvous
from tests.conftest import GOLDENS
from tests.wait import LIMIT_S, wait_until

PROMPT = Prompt(((1, 5, 6, 7),))


def picture(name: str) -> Prompt:
    """A question about a picture of that name; the worker asks for its pixels, and waits."""
    return Prompt(((1, 5), Slot(name, 1, 313), (1, 6)))


def pixels(name: str) -> Pixels:
    image = Image.open(GOLDENS / "images" / f"{name}.png").convert("RGB")
    return Pixels(image.width, image.height, image.tobytes())


def ids(events: list[CoreEvent]) -> list[int]:
    return [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]


def answer(core: LocalCore, prompt: Prompt = PROMPT, tokens: int = 8) -> list[CoreEvent]:
    return list(core.generate(prompt, Sampling(max_new_tokens=tokens), pixels))


def worker_pid(core: LocalCore) -> int:
    """The worker's process, as soon as it has said who it is."""
    link = core._link
    assert link is not None
    wait_until(lambda: link.pid is not None or not link.alive)
    assert link.pid is not None
    return link.pid


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    except OSError:  # a system without /proc
        os.kill(pid, 0)
        return True
    return status.rpartition(")")[2].split()[0] != "Z"


class Terminal:
    """A client that says what a test wants, right or wrong."""

    def __init__(self, runtime: Path, *, keep_alive: int | None = 0, token: str | None = None):
        (path,) = runtime.glob(f"*{SUFFIX}")
        found = Rendezvous(runtime, path.stem).connect()
        assert found is not None
        self.socket: socket.socket
        self.socket, true_token = found
        self.channel = Channel(self.socket)
        self.channel.limit_wait(LIMIT_S)
        hello = {"op": "hello", "token": true_token if token is None else token}
        self.channel.send(hello if keep_alive is None else hello | {"keep_alive": keep_alive})

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def ask(self, number: int, prompt: Prompt = PROMPT, **sampling: Any) -> None:
        self.channel.send(
            {
                "op": "generate",
                "id": number,
                "parts": prompt_to_json(prompt),
                "sampling": asdict(Sampling(**sampling)),
            }
        )

    def read_ahead(self, number: int, prompt: Prompt) -> None:
        parts = prompt_to_json(prompt)
        self.channel.send({"op": "read_ahead", "id": number, "parts": parts, "following": 9})

    def stop(self, number: int) -> None:
        self.channel.send({"op": "stop", "id": number})

    def show(self, number: int, name: str) -> None:
        shown = pixels(name)
        header = {"op": "pixels", "id": number, "width": shown.width, "height": shown.height}
        self.channel.send(header, shown.rgb)

    def hear(self, *kinds: str) -> Header:
        """The next frame of one of these kinds."""
        while True:
            header = self.channel.receive()
            assert header is not None, f"the worker left before it said {kinds}"
            if header["ev"] in kinds:
                return header

    def rest(self) -> list[Header]:
        """Everything until the worker closes the connection."""
        heard = []
        while (header := self.channel.receive()) is not None:
            heard.append(header)
        return heard
