"""An HTTP proxy on this machine that knows one host which no other program can find."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

HOST = "hub.invalid"


@contextmanager
def proxying(address: str) -> Iterator[tuple[str, list[str]]]:
    """(the proxy's own address, the addresses that it was asked for); HOST is ``address``."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            url = urlsplit(self.path)
            host = urlsplit(address).netloc if url.hostname == HOST else url.netloc
            connection = http.client.HTTPConnection(host)
            connection.request("GET", self.path.partition(url.netloc)[2], headers=self.headers)
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.read())
            connection.close()

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()
