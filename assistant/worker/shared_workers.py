"""List of the shared workers that run now and their memory. The client side: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.values.events import Phase
from assistant.worker.frames import Channel, FrameError

_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class SharedWorker:
    """One worker process; ``spec`` is all that it was started with."""

    pid: int
    uptime_s: float
    clients: int
    """Terminals that use it."""
    requests: int
    """Running and waiting ones."""
    phase: Phase
    spec: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    """The memory plan, once it is made."""
    resident_bytes: int
    """RAM that it takes."""

    @property
    def folder(self) -> str:
        """The folder of its model."""
        return str(self.spec["folder"])


def shared_workers(runtime: Path) -> list[SharedWorker]:
    """List the workers that answer in the runtime folder, without keeping them alive."""
    try:
        from assistant.worker.rendezvous import SUFFIX, Rendezvous
    except ImportError:  # a system without fcntl shares no workers
        return []
    found = []
    for path in sorted(runtime.glob(f"*{SUFFIX}")):
        try:
            connected = Rendezvous(runtime, path.stem).connect()
        except OSError:
            continue
        if connected is not None:
            channel = Channel(connected[0])
            try:
                found += _asked(channel, connected[1])
            finally:
                channel.close()
    return found


def _asked(channel: Channel, token: str) -> list[SharedWorker]:
    channel.limit_wait(_WAIT_S)
    try:
        channel.send({"op": "hello", "token": token})
        channel.send({"op": "info"})
        while (header := channel.receive()) is not None:
            if header["ev"] == "info":
                about = {name: header[name] for name in SharedWorker.__dataclass_fields__}
                return [SharedWorker(**{**about, "phase": Phase(header["phase"])})]
    except (OSError, FrameError):
        pass
    return []  # it ended just now, or hangs
