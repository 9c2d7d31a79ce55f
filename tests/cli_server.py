"""A process that has imported the command line, and forks for each ``phichat`` that a test runs.

    python -m tests.cli_server SOCKET

The imports are nine tenths of a short command's CPU time. What is forked is a process of its own
all the same, with its own environment, streams and exit code. Nothing is imported here that reads
the environment then, or starts threads. That commands import no more than they may is tested in
processes that are not forked.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parent.parent
IMPORTED = (
    "assistant.cli.ask",
    "assistant.cli.errors",
    "assistant.cli.sessions.group",
    "sqlalchemy.dialects.sqlite",
    "storage.migrations",
    "storage.store",
)
STREAMS = 3


def _at_start(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that an interpreter or a library reads when it starts."""
    starts = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC", "COVERAGE")
    return {name: value for name, value in environment.items() if name.startswith(starts)}


class CliServer:
    """Runs ``phichat`` processes as forks of one server, which starts with the first."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._started_with: dict[str, str] = {}

    def run(
        self, arguments: Sequence[str], environment: dict[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``phichat`` to its end: not forked where the interpreter would start otherwise."""
        if self._server is None and sys.platform == "linux":
            self._start()
        if self._server is None or _at_start(environment) != self._started_with:
            return subprocess.run(
                [sys.executable, "-m", "assistant.cli", *arguments],
                input=stdin, capture_output=True, text=True, env=environment, cwd=ROOT,
            )  # fmt: skip
        pipes = [os.pipe() for _ in range(STREAMS)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        asked = {"arguments": list(arguments), "environment": environment}
        socket.send_fds(self._socket, [json.dumps(asked).encode()], theirs)
        for one in theirs:
            os.close(one)
        ours = [os.fdopen(pipes[0][1], "w"), *(os.fdopen(pipes[n][0]) for n in (1, 2))]
        texts: list[str] = ["", "", ""]

        def write() -> None:
            with suppress(BrokenPipeError), ours[0] as stream:
                stream.write(stdin)

        def read(number: int) -> None:
            with ours[number] as stream:
                texts[number] = stream.read()

        threads = [Thread(target=write), *(Thread(target=read, args=(n,)) for n in (1, 2))]
        try:
            for thread in threads:
                thread.start()
            answer = self._socket.recv(100)
            assert answer, self._server.communicate()[1]
            for thread in threads:
                thread.join()
        except BaseException:  # a test that hangs is interrupted
            self.close()
            raise
        return subprocess.CompletedProcess(list(arguments), int(answer), texts[1], texts[2])

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._started_with = _at_start(dict(os.environ))
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.cli_server", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                # Python's streams are those of pipes, as in what it forks
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
            )

    def close(self) -> None:
        """End the server, and the command that it runs."""
        if self._server is not None:
            self._socket.close()
            self._server.kill()
            self._server.communicate()
            self._server = None


def serve(control: socket.socket) -> None:
    """Fork for each command; returns in the fork, with its streams and environment."""
    while True:
        message, streams, _, _ = socket.recv_fds(control, 1 << 20, STREAMS)
        if not message:
            sys.exit()
        if (pid := os.fork()) == 0:
            break
        for one in streams:
            os.close(one)
        control.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
    control.close()
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    asked = json.loads(message)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = [str(ROOT / "assistant" / "cli" / "__main__.py"), *asked["arguments"]]


if __name__ == "__main__":
    from assistant.cli.root_command import main

    for name in IMPORTED:
        import_module(name)
    early = {"huggingface_hub.constants", "numpy", "textual", "torch"} & set(sys.modules)
    assert not early, early
    gc.freeze()  # going over what is shared would copy it
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
