"""A hub on this machine: an HTTP server that speaks the protocol of huggingface.co.

The listing of a revision, files behind it, and a second host (localhost instead of 127.0.0.1)
where large files really are, as on the real hub. It can be made to misbehave.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    """The server's files, its faults, and the requests that it got."""

    address: str = ""
    elsewhere: str = ""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    refuses: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Model: status and headers of every answer about it."""
    sends: dict[str, bytes] = field(default_factory=dict)
    """File: what comes instead of its bytes."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """File: after how many bytes the connection is cut, one number a request."""
    hangs: dict[str, int] = field(default_factory=dict)
    """File: after how many bytes nothing more comes, until the server stops."""
    busy: dict[str, list[int]] = field(default_factory=dict)
    """File: statuses of its first answers."""
    says: bytes | None = None
    """The answer to every request, if there is one."""
    ranges: bool = True
    token: str | None = None
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    stopped: Event = field(default_factory=Event)

    def requests(self, part: str) -> list[dict[str, str]]:
        """Headers of the requests whose path has ``part``."""
        return [headers for _, path, headers in self.asked if part in path]

    def at(self, name: str) -> bytes:
        return next(files[name] for files in self.models.values() if name in files)


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", "tokenizer.json"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        headers = {name.title(): value for name, value in self.headers.items()}
        hub.asked.append((self.command, self.path, headers))
        if file := re.fullmatch(r"/signed/(.+)", path):
            self.file(file[1])
            return
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path)
        resolve = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        asked = listing or resolve
        model, revision = (asked[1], asked[2] or "main") if asked else ("", "")
        commit = hub.revisions.get(revision, revision)
        if hub.says is not None:
            self.answer(200, hub.says)
        elif model in hub.refuses:
            self.refuse(*hub.refuses[model])
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.refuse(401, {"X-Error-Code": "RepoNotFound"})
        elif model not in hub.models:
            self.refuse(404, {"X-Error-Code": "RepoNotFound"})
        elif commit not in hub.revisions.values():
            self.refuse(404, {"X-Error-Code": "RevisionNotFound"})
        elif listing:
            self.answer(200, json.dumps(self.listing(model, commit)).encode())
        elif resolve and resolve[3] not in hub.models[model]:
            self.refuse(404, {"X-Error-Code": "EntryNotFound"})
        elif resolve and is_large(resolve[3]):
            self.answer(302, b"", {"Location": f"{hub.elsewhere}/signed/{resolve[3]}"})
        elif resolve:
            self.file(resolve[3])

    def listing(self, model: str, commit: str) -> dict[str, Any]:
        siblings = []
        for name, data in self.hub.models[model].items():
            one: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
            if is_large(name):
                sha256 = hashlib.sha256(data).hexdigest()
                one["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 135}
            siblings.append(one)
        return {"id": model, "modelId": model, "sha": commit, "siblings": siblings}

    def file(self, name: str) -> None:
        hub, data = self.hub, self.hub.sends.get(name, self.hub.at(name))
        if hub.busy.get(name):
            self.refuse(hub.busy[name].pop(0), {})
            return
        begin, status, headers = 0, 200, {}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and hub.ranges:
            begin, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        rest = data[begin:]
        if name in hub.hangs:
            self.answer(status, rest, headers, sent=hub.hangs[name])
            hub.stopped.wait(60)
            self.close_connection = True
        elif hub.cuts.get(name):
            self.answer(status, rest, headers, sent=hub.cuts[name].pop(0))
            self.close_connection = True
        else:
            self.answer(status, rest, headers)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, sent: int = -1
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if sent < 0 else body[:sent])
            self.wfile.flush()

    def refuse(self, status: int, headers: dict[str, str]) -> None:
        self.answer(status, b"{}", headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without models, until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        hub.elsewhere = f"http://localhost:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield hub
        hub.stopped.set()
        server.shutdown()
        thread.join()
