"""``phichat serve``: a real server, asked over HTTP and over its websocket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import requests

from tests.conftest import ROOT, Phichat
from tests.wait import LIMIT_S, wait_until


@pytest.fixture
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "assistant.cli", "serve", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ,
    ) as server:

        def listens() -> bool:
            assert server.poll() is None
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, "the server")
        yield f"127.0.0.1:{port}"
        server.send_signal(signal.SIGINT)
        assert server.wait() in (0, 130, -signal.SIGINT)


def test_a_browser_gets_the_page_and_the_app_is_behind_it(address: str) -> None:
    page = requests.get(f"http://{address}/", timeout=LIMIT_S)
    assert page.status_code == 200
    assert "phichat" in page.text

    async def first_screen() -> bytes:
        shown = b""
        url = f"http://{address}/ws?width=120&height=40"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as tab:
            while b"sk about a picture" not in shown:
                message = await tab.receive(timeout=LIMIT_S)
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), shown
                if message.type is aiohttp.WSMsgType.BINARY:
                    shown += message.data
        return shown

    assert asyncio.run(first_screen())


def test_a_port_that_is_taken_is_one_sentence(phichat: Phichat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = phichat("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"phichat can't listen on 127.0.0.1:{port} (Address already in use); choose another "
        "--port or --host.\n"
    )


def test_without_textual_serve_it_is_one_sentence(
    phichat: Phichat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "textual_serve.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = phichat("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "phichat serve needs textual-serve: install it with: pip install -e '.[web]'\n"
    )
