"""A terminal's link to a worker whose end the test plays."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from assistant.worker import link as links
from assistant.worker.frames import Channel, Header, pack
from assistant.worker.link import WorkerLink
from tests.wait import wait_until


class Watched(Channel):
    """A channel that counts the frames that could not be sent."""

    failed = 0

    def send(self, header: Header, payload: bytes = b"") -> None:
        try:
            super().send(header, payload)
        except OSError:
            self.failed += 1
            raise


def test_the_last_words_of_a_worker_are_heard_after_a_frame_that_it_did_not_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a request that met the end of a worker is called a crash, and is not sent again."""
    ours, theirs = socket.socketpair()
    channel, process = Watched(ours), subprocess.Popen([sys.executable, "-c", ""])
    monkeypatch.setattr(links, "launch", lambda *_, **__: (channel, process))
    with theirs:
        link = WorkerLink({}, lambda *_: None, runtime=None, keep_alive=0, log=None)
        theirs.sendall(pack({"ev": "welcome", "pid": process.pid, "shared": False}))
        wait_until(lambda: link.pid, "the welcome")
        theirs.shutdown(socket.SHUT_RD)
        for _ in range(2):  # where the second fails, what follows the first is over
            link.send({"op": "info"})
        wait_until(lambda: channel.failed == 2, "the frames fail")
        theirs.sendall(pack({"ev": "leaving"}))
    wait_until(lambda: not link.alive, "the end")
    assert link.ended
    link.close()
