"""The command line as a person runs it: a process of its own, and its three results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import GOLDENS, ROOT

Phichat = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def phichat(random_folder: Path) -> Phichat:
    """Runs ``phichat …`` on the tiny random model unless told otherwise."""

    def run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "PHICHAT_MODEL": str(random_folder),
            "PHICHAT_NUM_CROPS": "1",
            "PHICHAT_MAX_NEW_TOKENS": "6",
            **os.environ,
        }
        return subprocess.run(
            [sys.executable, "-m", "assistant.cli", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    return run


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def picture_url() -> Iterator[str]:
    """The address of the goldens' pictures on a real HTTP server."""
    handler = partial(_Quiet, directory=str(GOLDENS / "images"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
