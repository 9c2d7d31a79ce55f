"""Pictures from the web, by a real server that does everything a server should not."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assistant.pictures import fetch
from assistant.pictures.decode import open_bytes
from assistant.pictures.fetch import read_url
from assistant.pictures.source import open_source
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError
from tests.pictures.picture_files import encoded, flag
from tests.wait import wait_until

PNG = encoded(flag())


class Handler(BaseHTTPRequestHandler):
    """Each path is a way to answer."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        self.close_connection = True
        name = self.path.strip("/").partition("?")[0].partition(".")[0].replace("-", "_")
        if name.isdecimal():
            self.answer(int(name), b"sorry")
        else:
            getattr(self, "on_" + name)()

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for key, value in {
            "Content-Length": str(len(body)),
            "Connection": "close",
            **headers,
        }.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def on_flag(self) -> None:
        self.answer(200, PNG, Content_Type="text/plain")

    def on_page(self) -> None:
        self.answer(200, b"<!DOCTYPE html><title>A cat</title>", Content_Type="image/png")

    def on_moved(self) -> None:
        self.answer(302, b"", Location="/flag.png")

    def on_circle(self) -> None:
        self.answer(302, b"", Location="/circle")

    def on_to_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def on_packed(self) -> None:
        self.answer(200, gzip.compress(PNG), Content_Encoding="gzip")

    def on_packed_bomb(self) -> None:
        self.answer(200, gzip.compress(b"\0" * (5 << 20)), Content_Encoding="gzip")

    def on_chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(PNG), 40):
            piece = PNG[start : start + 40]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def on_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10 << 30))
        self.end_headers()

    def on_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"\0" * 65536)
                self.server.sent += 65536  # type: ignore[attr-defined]
        except OSError:
            pass

    def on_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG[:-20])

    def on_empty(self) -> None:
        self.answer(200, b"")

    def on_hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def on_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.drip()

    def on_drip_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip()

    def drip(self) -> None:
        try:
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[tuple[str, dict[str, str]]]
    sent: int


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.sent = [], 0
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def at(server: Server) -> Callable[[str], str]:
    """The address of a path on the server."""
    return lambda path: f"http://127.0.0.1:{server.server_port}/{path}"


def fetched(url: str, **options: Any) -> PictureFile:
    data, name = read_url(url, **options)
    return open_bytes(data, name=name)


def refused(url: str, **options: float) -> str:
    with pytest.raises(PictureError) as caught:
        fetched(url, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("path", ["flag.png", "moved", "chunked", "packed", "flag?name=x.gif"])
def test_a_picture_is_fetched_whatever_the_server_calls_it(
    at: Callable[[str], str], path: str
) -> None:
    file = open_source(f" {at(path)}\n")
    assert (file.data, file.media_type) == (PNG, "image/png")
    assert file.name == path.partition("?")[0]


def test_the_request_says_honestly_who_asks(at: Callable[[str], str], server: Server) -> None:
    open_source(at("flag.png"))
    path, headers = server.asked[-1]
    assert path == "/flag.png"
    assert headers["User-Agent"].startswith("phichat/")
    assert "Cookie" not in headers
    assert "Referer" not in headers


def test_a_name_in_an_address_is_decoded_and_made_harmless(at: Callable[[str], str]) -> None:
    file = open_source(at("flag.%1B%5B31m%2E.p%C3%A4ng"))
    assert file.name == "flag.\ufffd[31m..päng"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("404", "There is nothing at"),
        ("403", "does not give out"),
        ("500", "try again later"),
        ("429", "try again later"),
        ("204", "answered 204"),
        ("page", "web page"),
        ("empty", "is empty"),
        ("circle", "redirects in circles"),
        ("to-file", "not http or https"),
        ("short", "connection broke"),
        ("hang-up", "connection broke"),
        ("large", "larger than 64 MiB"),
    ],
)
def test_each_failure_has_its_own_sentence(at: Callable[[str], str], path: str, words: str) -> None:
    sentence = refused(at(path))
    assert words in sentence
    assert path.split("?")[0] in sentence


def test_a_body_is_read_no_further_than_the_limit(
    at: Callable[[str], str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", 1 << 20)
    assert "is larger than" in refused(at("endless"))
    assert server.sent < 30 << 20  # what socket buffers hold
    assert "is larger than" in refused(at("packed-bomb"))


@pytest.mark.parametrize("path", ["drip", "drip-header"])
def test_a_server_that_never_ends_is_given_up(at: Callable[[str], str], path: str) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    assert "took too long" in refused(at(path), total_s=0.4)
    if path == "drip":  # nor does it go on behind our back
        for thread in threading.enumerate():
            if thread.name == "phichat-fetch" and thread.ident not in before:
                wait_until(lambda t=thread: not t.is_alive(), "the end of the fetch")


def test_servers_that_are_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "refuses connections" in refused(f"http://127.0.0.1:{port}/cat.png")
    assert "is not known" in refused("http://no-such-host.invalid/cat.png")


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a b/", "http://:80/", "https:///x"]
)
def test_addresses_that_are_none(url: str) -> None:
    assert "not a valid address" in refused(url)


def test_secrets_in_an_address_are_not_repeated(at: Callable[[str], str]) -> None:
    url = at("404?token=secret1").replace("http://", "http://me:secret2@")
    assert "secret" not in refused(url)


def test_a_fetch_can_be_watched_and_given_up(at: Callable[[str], str], server: Server) -> None:
    arrived: list[tuple[int, int]] = []
    file = open_source(at("flag.png"), watch=lambda done, total: arrived.append((done, total)))
    assert arrived[-1] == (len(file.data), len(file.data))

    class LeftError(Exception):
        pass

    def leave(done: int, total: int) -> None:
        raise LeftError

    with pytest.raises(LeftError):
        open_source(at("endless"), watch=leave)
    assert server.sent < 30 << 20
