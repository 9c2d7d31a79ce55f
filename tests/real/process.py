"""Servers of others, started on this machine and asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 300
"""Seconds until a server must answer: vLLM takes 40 on two idle cores."""
ANSWER_S = 300
NICE = 10


class NotStartedError(Exception):
    """A server that ended or never answered; the text is the end of what it said."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path], port: int, log: Path, path: str = "/v1/models", **more: str
) -> Iterator[str]:
    """Run a server until the block ends; yields its address once ``path`` is answered.

    Raises NotStartedError with the last lines of its output, which are kept in ``log``.
    """
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"} | more
    environment = {k: v for k, v in environment.items() if not k.startswith("PHICHAT_")}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["nice", "-n", str(NICE), *map(str, command)],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}{path}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.5)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise NotStartedError("\n".join(lines[-12:]) or f"no answer within {START_S} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and the processes that it started, which are its group."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, name)
            process.wait(30)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        time.sleep(1)  # its children, which end by themselves


def asked(address: str, body: Mapping[str, Any] | None = None) -> Any:
    """Ask and decode JSON (text where it is none). Raises RuntimeError with a refusal's words."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:500]
        raise RuntimeError(f"{error.code}: {said}") from None
    try:
        return json.loads(text)
    except ValueError:
        return text
