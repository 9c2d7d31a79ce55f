"""Picture addresses: private networks are reached where they were typed, and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from assistant.pictures import private_networks
from assistant.pictures.source import open_source
from assistant.values.errors import PictureError
from tests.tui.desk import png

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:1::", "224.0.0.1", "ff02::1", "192.0.2.1", "198.18.0.1",
    "255.255.255.255", "fec0::1", "::127.0.0.1", "::10.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:c0a8:101::",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert private_networks.is_private(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert not private_networks.is_private(address)


@pytest.mark.parametrize(
    ("url", "typed"),
    [
        ("http://127.0.0.1:8000/a.png", True),
        ("http://[::1]/a.png", True),
        ("http://nas.local/a.png", True),
        ("http://printer/a.png", True),
        ("http://LOCALHOST./a.png", True),
        ("http://user:word@192.168.1.2/a.png", True),
        ("https://example.org/a.png", False),
        ("https://8.8.8.8/a.png", False),
        ("https://example.org/?to=127.0.0.1", False),
        ("https://127.0.0.1.example.org/a.png", False),
        ("https://localhost@example.org/a.png", False),
        ("http://127.1/a.png", True),
        ("http://0x7f000001/a.png", True),
        ("http://017700000001/a.png", True),
        ("http://2130706433/a.png", True),
        ("http://192.168.257/a.png", True),
        ("http://134744072/a.png", False),
        ("http://0x08080808/a.png", False),
        ("http://[fe80::1%25eth0]/a.png", True),
        ("http://example.org\\@127.0.0.1/a.png", False),
        ("http://example.org#@127.0.0.1/a.png", False),
        ("http:///a.png", False),
    ],
)
def test_what_counts_as_typed(url: str, typed: bool) -> None:
    assert private_networks.is_typed_private(url) is typed


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers.items()))  # type: ignore[attr-defined]
        to = getattr(self.server, "to", "") if self.path == "/away.png" else ""
        body = b"" if to else png()
        self.send_response(302 if to else 200)
        if to:
            self.send_header("Location", to)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def serve(address: str) -> Any:
    server: Any = ThreadingHTTPServer((address, 0), _Handler)
    server.asked, server.to = [], ""
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that stands for one of the public network: 127.0.0.1 counts as public here."""
    known = private_networks.is_private
    monkeypatch.setattr(
        private_networks, "is_private", lambda one: known(one) and one != "127.0.0.1"
    )
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = serve("127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def inside() -> Iterator[Any]:
    server = serve("127.0.0.2")
    yield server
    server.shutdown()
    server.server_close()


def test_a_redirect_into_a_private_network_is_not_followed(outside: Any, inside: Any) -> None:
    outside.to = f"http://127.0.0.2:{inside.server_port}/a.png"
    with pytest.raises(PictureError, match=r"leads to 127\.0\.0\.2, an address of a private"):
        open_source(f"http://127.0.0.1:{outside.server_port}/away.png")
    assert outside.asked
    assert not inside.asked, "nothing was sent there"


def test_a_name_that_was_pointed_at_a_private_network_is_refused(
    outside: Any, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def pointed(host: Any, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.2" if host == "pictures.example.org" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", pointed)
    with pytest.raises(PictureError, match="that was not typed"):
        open_source(f"http://pictures.example.org:{inside.server_port}/a.png")
    assert not inside.asked


def test_what_was_typed_is_reached_and_may_redirect(outside: Any, inside: Any) -> None:
    inside.to = f"http://127.0.0.2:{inside.server_port}/a.png"
    assert open_source(f"http://127.0.0.2:{inside.server_port}/away.png").data == png()
    assert len(inside.asked) == 2


def test_a_typed_private_address_leads_to_no_other(inside: Any) -> None:
    other = serve("127.0.0.3")
    inside.to = f"http://127.0.0.3:{other.server_port}/a.png"
    try:
        with pytest.raises(PictureError, match=r"leads to 127\.0\.0\.3, an address of a private"):
            open_source(f"http://127.0.0.2:{inside.server_port}/away.png")
        assert not other.asked
    finally:
        other.shutdown()
        other.server_close()


def test_a_name_of_this_machine_may_lead_to_its_address(outside: Any) -> None:
    outside.to = f"http://127.0.0.1:{outside.server_port}/a.png"
    assert open_source(f"http://localhost:{outside.server_port}/away.png").data == png()


def test_a_proxy_for_other_addresses_takes_no_check_away(
    outside: Any, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    outside.to = f"http://127.0.0.2:{inside.server_port}/a.png"
    with pytest.raises(PictureError, match="that was not typed"):
        open_source(f"http://127.0.0.1:{outside.server_port}/away.png")
    assert not inside.asked


def test_logins_of_netrc_are_sent_nowhere(
    outside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password planted-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    outside.to = f"http://127.0.0.1:{outside.server_port}/a.png"
    open_source(f"http://127.0.0.1:{outside.server_port}/away.png")
    assert len(outside.asked) == 2
    assert all("Authorization" not in headers for headers in outside.asked)
