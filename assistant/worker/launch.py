"""Launch of a worker process. The client side: no torch."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.values import python_child
from assistant.worker.frames import Channel, Header

if TYPE_CHECKING:
    from assistant.worker.rendezvous import Listening, Rendezvous

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables: no network for libraries that would look for updates."""

_LOG_SIZE = 1 << 20
"""Bytes after which the log is emptied."""


def launch(
    spec: Mapping[str, object],
    *,
    log: Path | None = None,
    note: str = "",
    shared: tuple[Rendezvous, Listening] | None = None,
) -> tuple[Channel, subprocess.Popen[bytes]]:
    """Start a worker for ``spec``, which is sent over the returned channel, its first client's.

    With ``shared`` it serves others too and outlives this process; without,
    it ends when the channel does and asks for no token. ``note`` goes to the log. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    inherited = [theirs.fileno()]
    start: Header = {"op": "serve", "spec": spec, "token": "", "place": None}
    if shared is not None:
        place, listening = shared
        start |= {"token": listening.token, "place": [str(place.folder), place.name]}
        inherited.append(listening.socket.fileno())
    output = _open_log(log, note)
    try:
        process = subprocess.Popen(
            # -P: no module of the folder that the terminal happens to be in
            python_child.command("assistant.worker", *inherited),
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=python_child.environment(**_OFFLINE),
            cwd="/",  # a worker that stays must not keep a folder from being unmounted
            # ctrl-C and the end of the terminal are for the app, which decides what to stop
            start_new_session=True,
        )
    except BaseException:
        channel.close()
        raise
    finally:
        theirs.close()
        if output != subprocess.DEVNULL:
            os.close(output)
    with suppress(OSError):  # it died already: the listener hears of it
        channel.send(start)
    return channel, process


def _open_log(log: Path | None, note: str) -> int:
    if log is None:
        return subprocess.DEVNULL
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        output = os.open(log, flags, 0o600)
        if os.fstat(output).st_size > _LOG_SIZE:
            os.ftruncate(output, 0)
        os.write(output, f"{time.strftime('%Y-%m-%d %H:%M:%S')} starting {note}\n".encode())
    except OSError:
        return subprocess.DEVNULL  # a log is not worth failing for
    return output
