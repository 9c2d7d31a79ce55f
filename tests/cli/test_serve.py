"""``phichat serve``: a real server, asked over HTTP and over its websocket, by friend and foe."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from textual_serve.download_manager import DownloadManager

from assistant.cli import browser_apps
from assistant.cli.browser_apps import TabApps, safe_name
from assistant.cli.browser_server import OPENED, OPENS, GuardedServer
from tests.conftest import Phichat
from tests.wait import LIMIT_S, until
from tui.terminal import graphics
from tui.terminal.detect import PAGE_UPLOADS

LETS_IN = re.compile(r"http://\S+/\?token=\S+")


@dataclass
class Served:
    """A running server: where it listens, and what it prints."""

    port: int
    lines: Iterator[str]
    errors: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entrance(self) -> str:
        """Wait for the next address that lets a browser in."""
        found = (LETS_IN.search(line) for line in self.lines)
        address = next((match[0] for match in found if match), None)
        assert address, self.errors.read_text()
        return address


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "inspect.py").write_text("open('ran', 'w')\nraise SystemExit('not phichat')\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    errors = folder / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "assistant.cli", "serve", "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            text=True,
            env={**os.environ, "PHICHAT_HOME": str(folder / "home"), "PHICHAT_MODEL": "demo"},
        ) as server,
    ):
        assert server.stdout is not None
        yield Served(port, iter(server.stdout), errors)
        server.send_signal(signal.SIGINT)
        assert server.wait() in (0, 130, -signal.SIGINT)
    assert not (folder / "ran").exists(), "a file of the folder was run"


@pytest.fixture(scope="module")
def browser(served: Served) -> requests.Session:
    """A browser that was let in, and its page."""
    session = requests.Session()
    entrance = served.entrance()
    page = session.get(entrance, timeout=LIMIT_S)
    assert (page.status_code, page.url) == (200, f"{served.address}/")
    assert "phichat" in page.text
    assert requests.get(entrance, timeout=LIMIT_S).status_code == 403, "it is good for once"
    return session


def cookie(browser: requests.Session) -> str:
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def tab(served: Served, headers: dict[str, str], *, until: bytes) -> bytes:
    """Open the app's socket and read until the screen has shown these words."""

    async def read() -> bytes:
        shown = b""
        url = f"ws://127.0.0.1:{served.port}/ws?width=120&height=40"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=headers) as socket,
        ):
            while until not in shown:
                message = await socket.receive(timeout=LIMIT_S)
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), shown
                if message.type is aiohttp.WSMsgType.BINARY:
                    shown += message.data
        return shown

    return asyncio.run(read())


def test_the_app_is_behind_the_page(served: Served, browser: requests.Session) -> None:
    headers = {"Cookie": cookie(browser), "Origin": served.address}
    assert tab(served, headers, until=b"sk about a picture")


def test_a_telephone_can_read_the_page(served: Served, browser: requests.Session) -> None:
    """Without these words it is laid out 980 pixels wide, then made small."""
    assert (
        'name="viewport" content="width=device-width'
        in browser.get(served.address, timeout=LIMIT_S).text
    )


def test_the_page_reaches_the_terminal_of_textual_serve(
    served: Served, browser: requests.Session
) -> None:
    script = browser.get(f"{served.address}/terminal.js", timeout=LIMIT_S)
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert script.text.count(f"{OPENS},{OPENED},") == 1, "another textual-serve"


@pytest.mark.parametrize("cut", [b"", b"x"])
async def test_pictures_of_an_app_are_kept_for_its_page(cut: bytes) -> None:
    image, said = Image.new("RGB", (4, 4), "red"), []
    app = await TabApps("cat", DownloadManager()).take(("cookie", TAB))

    class Socket:
        async def send_bytes(self, data: bytes) -> None:
            said.append(data)

    app._socket = Socket()  # type: ignore[assignment]
    sent = graphics.page_upload(image, 70_000).encode()
    await app._write_bytes(cut + sent)
    if cut:  # words of something else go to the terminal, which shows none of it
        assert (app.pictures, said) == ({}, [cut + sent])
        return
    assert (Image.open(io.BytesIO(app.pictures[70_000])).size, said) == ((4, 4), [])
    await app._write_bytes(graphics.page_forget(70_000).encode())
    assert (app.pictures, said) == ({}, [])


def test_the_page_loads_nothing_from_elsewhere(served: Served, browser: requests.Session) -> None:
    page = browser.get(f"{served.address}/", timeout=LIMIT_S)
    assert re.findall(r"(?:https?:)?//[^\s\"')]+", page.text) == []
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    paths = re.findall(r'(?:src|href|url)[=(]"(\w[\w./-]+)"', page.text)
    assert len(paths) == 5
    for path in paths:
        assert browser.get(f"{served.address}/{path}", timeout=LIMIT_S).status_code == 200, path


@pytest.mark.parametrize("path", ["/", "/?token=x", "/?token=", "/ws", "/static/js/textual.js",
                                  "/download/x", "/nothing"])  # fmt: skip
@pytest.mark.parametrize("sent", ["", "phichat_{port}=", "phichat_{port}=guessed", "a=b"])
def test_nothing_is_answered_without_the_cookie(
    served: Served, browser: requests.Session, path: str, sent: str
) -> None:
    headers = {"Cookie": sent.format(port=served.port), "Origin": served.address}
    answer = requests.get(served.address + path, headers=headers, timeout=LIMIT_S)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


FOREIGN = ["http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null", "",
           "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example"]  # fmt: skip


@pytest.mark.parametrize("origin", [*FOREIGN, None])
def test_a_page_of_another_origin_opens_no_socket(
    served: Served, browser: requests.Session, origin: str | None
) -> None:
    headers = {"Cookie": cookie(browser)}
    if origin is not None:
        headers["Origin"] = origin.format(port=served.port)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        tab(served, headers, until=b"sk about a picture")
    assert refused.value.status == 403


TAB = "0123456789abcdef" * 2


def kept_tab(served: Served, headers: dict[str, str], typed: str, *, until: bytes) -> bytes:
    """Open the socket of a tab by its name, type, and read until its screen has these words."""

    async def read() -> bytes:
        shown = b""
        url = f"ws://127.0.0.1:{served.port}/ws/{TAB}?width=120&height=40"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=headers) as socket,
        ):
            while b"sk about" not in shown and typed:
                shown += await socket.receive_bytes(timeout=LIMIT_S)
            if typed:
                await socket.send_json(["stdin", typed])
            while until not in shown:
                shown += await socket.receive_bytes(timeout=LIMIT_S)
        return shown

    return asyncio.run(read())


@pytest.mark.slow
def test_an_app_outlives_its_socket_and_takes_pictures(
    served: Served, browser: requests.Session
) -> None:
    headers = {"Cookie": cookie(browser), "Origin": served.address}
    alive, upload = (f"{served.address}/{one}/{TAB}" for one in ("alive", "upload"))
    assert browser.get(alive, timeout=LIMIT_S).status_code == 200, "there is none yet"

    def post(address: str, data: bytes | Iterator[bytes], origin: str | None) -> requests.Response:
        given = {} if origin is None else {"Origin": origin.format(port=served.port)}
        return browser.post(address, headers=given, data=data, timeout=LIMIT_S)

    assert post(upload, _png(), served.address).status_code == 404
    picture = f"{served.address}/picture/{TAB}/1"
    assert browser.get(picture, timeout=LIMIT_S).status_code == 404
    assert requests.get(picture, timeout=LIMIT_S).status_code == 403
    kept_tab(served, headers, "typed before", until=b"before")
    assert browser.get(alive, timeout=LIMIT_S).status_code == 204, "it goes on"
    answer = post(f"{upload}?name=../../it's%20red.png", _png(), served.address)
    assert (answer.status_code, answer.text) == (204, "")
    shown = kept_tab(served, headers, "", until=b"red.png")
    assert b"typed before" in shown, "a new terminal is painted wholly"
    assert b"\x1b[?1049h" in shown
    another = requests.Session()
    another.get(served.entrance(), timeout=LIMIT_S)
    assert another.get(alive, timeout=LIMIT_S).status_code == 200, "it is this browser's alone"
    for origin in (*FOREIGN, None):
        assert post(upload, b"x", origin).status_code == 403, origin
    answer = post(f"{upload}?name=x.png", (bytes(1 << 20) for _ in range(65)), served.address)
    assert (answer.status_code, answer.text) == (413, "x.png has more than 64.0 MB: shrink it.")
    kept_tab(served, headers, "", until=b"red.png")
    kept_tab(served, headers, "", until=b"typed before")


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        (".bashrc", "bashrc"),
        ("", "picture"),
        ("/", "picture"),
        ("\x1b[2J\n.png", "_[2J_.png"),
        ("x" * 300 + ".jpeg", "x" * 80 + ".jpeg"),
    ],
)
def test_the_name_of_an_upload_leads_nowhere(name: str, kept: str) -> None:
    assert safe_name(name) == kept


async def test_a_kept_app_ends_in_the_end() -> None:
    key, apps = ("cookie", TAB), TabApps("cat", DownloadManager(), kept_s=0.0)
    socket = web.WebSocketResponse()
    app = await apps.take(key)
    app._socket = socket
    await apps.leave(key, app, socket)
    await until(lambda: apps.find(key) is None, "its end")
    assert app.is_over


class Unread(web.WebSocketResponse):
    """A socket whose page shows nothing."""

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
        pass

    async def send_str(self, data: str, compress: int | None = None) -> None:
        pass

    async def close(self, **_: object) -> bool:
        return True


async def test_an_app_knows_the_folder_of_its_uploads(tmp_path: Path) -> None:
    found = tmp_path / "found"
    script = f'printf "%s" "${PAGE_UPLOADS}" > {shlex.quote(str(found))}'
    app = await TabApps(f"sh -c {shlex.quote(script)}", DownloadManager()).take(("cookie", TAB))
    await app.show(Unread(), 80, 24)
    await until(lambda: found.exists() and found.read_text(), "the app")
    await app.attach("notes.txt", b"No picture.")
    assert (Path(found.read_text()) / "1" / "notes.txt").read_bytes() == b"No picture."
    await app.end()


async def test_an_app_starts_where_no_folder_for_uploads_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    app = await TabApps("phichat", DownloadManager()).take(("cookie", TAB))
    started = []

    async def start(*size: int) -> None:
        started.append(size)
        app.service._task = asyncio.create_task(asyncio.sleep(0))

    monkeypatch.setattr(app.service, "start", start)
    await app.show(Unread(), 80, 24)
    assert started == [(80, 24)]


async def gone(process: Process) -> int:
    """Wait until a killed app and its pipes are closed, which the loop's end would warn of."""
    await until(process._transport.is_closing, "its pipes' end")  # type: ignore[attr-defined]
    return await process.wait()


async def test_an_app_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app itself, not a shell that started it."""
    monkeypatch.setattr(browser_apps, "END_S", 0.0)
    found = tmp_path / "found"
    script = f"echo $$ > {shlex.quote(str(found))}; exec sleep 60"
    app = await TabApps(f"sh -c {shlex.quote(script)}", DownloadManager()).take(("cookie", TAB))
    await app.show(Unread(), 80, 24)
    await until(lambda: found.exists() and found.read_text(), "the app")
    process = app.service._process
    assert process is not None
    assert process.pid == int(found.read_text())
    await app.end()
    assert await gone(process) == -signal.SIGKILL


async def test_an_upload_that_a_full_disk_does_not_take_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    server = GuardedServer("127.0.0.1", 8000)
    async with TestClient(
        TestServer(await server._make_app()), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        entrance = {"Host": "127.0.0.1:8000"}
        answer = await client.get(
            f"/?token={server._token}", headers=entrance, allow_redirects=False
        )
        (cookie,) = answer.cookies.values()
        await server._apps.take((cookie.value, TAB))
        headers = {
            **entrance,
            "Cookie": f"{cookie.key}={cookie.value}",
            "Origin": "http://127.0.0.1:8000",
        }
        answer = await client.post(f"/upload/{TAB}?name=a.png", headers=headers, data=b"x")
        assert answer.status == 507
        assert await answer.text() == "a.png can't be stored where phichat runs: is the disk full?"


async def test_an_app_that_ended_at_once_leaves_no_uploads() -> None:
    """The reader of its errors is then cancelled before it began, which ends that of the app."""
    app = await TabApps("sleep 60", DownloadManager()).take(("cookie", TAB))
    await app.show(Unread(), 80, 24)
    await app.attach("notes.txt", b"No picture.")
    process, reader = app.service._process, app.service._task
    assert app._folder is not None
    assert process is not None
    assert reader is not None

    async def read() -> None:
        raise asyncio.CancelledError

    app.service._task = asyncio.create_task(read())
    await app.end()
    assert not app._folder.exists()
    process.kill()
    await reader
    await gone(process)


HOSTS = ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "10.0.0.1:{port}",
         "127.0.0.1.evil.example:{port}", "[::2]:{port}", "127.0.0.1:{port}@evil.example",
         "x:y:z"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_was_pointed_here_is_refused(
    served: Served, browser: requests.Session, host: str
) -> None:
    headers = {"Host": host.format(port=served.port)}
    for path in ("/", "/ws", "/static/js/textual.js"):
        answer = browser.get(served.address + path, headers=headers, timeout=LIMIT_S)
        assert answer.status_code == 403


def test_each_browser_gets_an_address_of_its_own(served: Served, browser: requests.Session) -> None:
    another = requests.Session()
    local = served.entrance().replace("127.0.0.1", "localhost")
    assert another.get(local, timeout=LIMIT_S).status_code == 200
    assert another.cookies.values() != browser.cookies.values()
    assert browser.get(f"{served.address}/", timeout=LIMIT_S).status_code == 200
    (found,) = another.cookies
    assert (found.has_nonstandard_attr("HttpOnly"), found.get_nonstandard_attr("SameSite")) == (
        True,
        "Strict",
    )


PUBLIC = "https://Pictures.example.org:443/chat/"
ORIGIN = "https://pictures.example.org"
PROXIED = [("pictures.example.org", ""), ("pictures.example.org:443", "/chat"),
           ("127.0.0.1:8000", ""), ("localhost:8000", "/chat")]  # fmt: skip
"""Hosts and paths that proxies pass on: the public ones, or the ones by which they find us."""


@pytest.mark.parametrize(("host", "path"), PROXIED)
async def test_behind_a_proxy_the_public_address_is_taken(host: str, path: str) -> None:
    server = GuardedServer("127.0.0.1", 8000, PUBLIC)
    assert server.entrance.startswith("https://Pictures.example.org:443/chat/?token=")
    async with TestClient(
        TestServer(await server._make_app()), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        headers = {"Host": host, "Cookie": ""}

        async def asked(
            way: str, method: str = "GET", origin: str | None = None
        ) -> aiohttp.ClientResponse:
            given = headers if origin is None else {**headers, "Origin": origin}
            return await client.request(method, path + way, headers=given, allow_redirects=False)

        # 1) the token lets in, at an address that is relative to that in the browser
        answer = await asked(f"/?token={server._token}")
        assert (answer.status, answer.headers["Location"]) == (303, "./")
        (cookie,) = answer.cookies.values()
        assert (cookie.key, cookie["secure"]) == ("phichat_8000_chat", True)
        assert (await asked("/")).status == 403
        headers["Cookie"] = f"{cookie.key}={cookie.value}"
        # 2) the page, what it loads, and what it sends
        for way in ("/", "/page.js", "/static/css/xterm.css", f"/alive/{TAB}"):
            assert (await asked(way)).status == 200, way
        assert (await asked(f"/upload/{TAB}", "POST", ORIGIN)).status == 404, "no app, but let in"
        # 3) no other origin, also not that of another scheme or port
        for origin in (
            "http://pictures.example.org",
            "https://pictures.example.org:8443",
            "https://pictures.example.org.evil.example",
            "https://127.0.0.1:8000",
            "null",
        ):
            assert (await asked(f"/upload/{TAB}", "POST", origin)).status == 403, origin
        headers["Host"] = "other.example.org"
        answer = await asked("/")
        assert (answer.status, "--public-url" in await answer.text()) == (403, True)


def test_services_below_paths_of_one_host_have_cookies_of_their_own() -> None:
    names = {
        GuardedServer("127.0.0.1", port, public)._cookie_name
        for port, public in (
            (8000, "https://example.org/alice"),
            (8000, "https://example.org/bob/"),
            (8000, "https://example.org"),
            (8001, None),
        )
    }
    assert len(names) == 4


def test_a_port_that_is_taken_is_one_sentence(phichat: Phichat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = phichat("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"phichat can't listen on 127.0.0.1:{port} (Address already in use); choose another "
        "--port or --host.\n"
    )


@pytest.mark.parametrize("public_url", ["ftp://a", "https://", "https://u:p@a", "https://a/?b",
                         "https://a b", "https://a:99999", "https://[::1", "a.b"])  # fmt: skip
def test_a_public_address_that_is_none_is_one_sentence(phichat: Phichat, public_url: str) -> None:
    done = phichat("serve", "--public-url", public_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--public-url is an address such as ")


def test_without_textual_serve_it_is_one_sentence(
    phichat: Phichat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "textual_serve.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = phichat("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "phichat serve needs textual-serve: run "
        f"{sys.executable} -m pip install textual-serve==1.1.3, then try again.\n"
    )
