"""A real server on this machine that speaks the protocol, and says what a test tells it to."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

STREAM = "text/event-stream; charset=utf-8"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    json: Any = None

    @property
    def said(self) -> list[tuple[str, list[str | Image.Image]]]:
        """Roles with their texts and decoded pictures, in order."""
        return [(one["role"], list(_parts(one["content"]))) for one in self.json["messages"]]


def _parts(content: Any) -> Iterator[str | Image.Image]:
    if isinstance(content, str):
        yield content
        return
    for part in content:
        if part["type"] == "text":
            yield part["text"]
        else:
            kind, _, data = part["image_url"]["url"].partition(";base64,")
            image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
            assert kind == f"data:image/{(image.format or '').lower()}"
            yield image


@dataclass
class Answer:
    """An answer of the server: ``pieces`` one by one, each flushed; a callable waits for the test.

    ``cut`` ends the connection without the formal end of the body.
    """

    pieces: Sequence[bytes | Callable[[], object]] = ()
    status: int = 200
    content_type: str = STREAM
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def event(value: object) -> bytes:
    data = value if isinstance(value, str) else json.dumps(value)
    return f"data: {data}\n\n".encode()


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def saying(*texts: str, finish: str = "stop", usage: dict[str, Any] | None = None) -> Answer:
    """A whole reply as servers stream it: role, texts, end, usage, [DONE]."""
    pieces = [event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})]
    pieces += [event(delta(text)) for text in texts]
    pieces.append(event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
    if usage is not None:
        pieces.append(event({"choices": [], "usage": usage}))
    return Answer([*pieces, event("[DONE]")])


def refusing(status: int, message: str | None = None, **more: object) -> Answer:
    body = {} if message is None else {"error": {"message": message, **more}}
    return Answer([json.dumps(body).encode()], status, "application/json")


class Server:
    """Answers chats with ``answers`` in turn, the last of them ever after."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.models: Answer | list[dict[str, Any]] = [{"id": "tiny", "max_model_len": 4096}]
        self.answers: list[Answer] = [saying("Hello.")]
        self.rule: Callable[[Asked], Answer | None] = lambda asked: None
        """Looks at a chat before ``answers`` do, and may answer in their place."""
        self.asked: list[Asked] = []
        self.gone = threading.Event()
        """The other side closed the connection while it was still being answered."""

    @property
    def chats(self) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith("/chat/completions")]

    def answer_to(self, asked: Asked) -> Answer:
        if asked.path == "/v1/models" and isinstance(self.models, Answer):
            return self.models
        if asked.path == "/v1/models":
            body = {"object": "list", "data": self.models}
            return Answer([json.dumps(body).encode()], 200, "application/json")
        if asked.path == "/v1/chat/completions" and asked.method == "POST":
            if (answer := self.rule(asked)) is not None:
                return answer
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Answer([b"<h1>Not here</h1>"], 404, "text/html")


@contextmanager
def serving() -> Iterator[Server]:
    """A server at a free port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers.items()))
            asked.json = json.loads(body) if body else None
            server.asked.append(asked)
            answer = server.answer_to(asked)
            self.close_connection = True
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in answer.pieces:
                    if callable(piece):
                        piece()
                    else:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        self.wfile.flush()
                if not answer.cut:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:
                server.gone.set()

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
