"""An HTTPS proxy that serves a page of this machine under a name, a port and a path of its own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import unused_port
from multidict import CIMultiDictProxy

HAS_OPENSSL = shutil.which("openssl") is not None
HOST, PREFIX = "chat.example.org", "/talk"
PASSED_ON = ("Cookie", "Origin", "Host", "Content-Type")


@dataclass
class HttpsProxy:
    """Passes on what is asked of ``address``; the browser must be shown where ``HOST`` is."""

    port: int
    upstream: str = ""
    keeps_path: bool = False
    """Whether what is passed on has ``PREFIX`` in front, too."""
    keeps_host: bool = True
    """Whether it names the host that the browser asked, as nginx does not by itself."""
    passes_sockets: bool = True
    largest: int = 1 << 20
    """Bytes of a body that it passes on."""

    @property
    def address(self) -> str:
        return f"https://{HOST}:{self.port}{PREFIX}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer by what the page's own server answers, without the prefix."""
        to = self.upstream + request.raw_path.removeprefix("" if self.keeps_path else PREFIX)
        if (request.content_length or 0) > self.largest:
            page = "<h1>413 Request Entity Too Large</h1>"
            return web.Response(status=413, text=page, content_type="text/html")
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
            if is_socket and self.passes_sockets:
                return await self._handle_socket(request, session, to)
            async with session.request(
                request.method, to, headers=self._passed_on(request.headers),
                data=await request.read(), allow_redirects=False,
            ) as answer:  # fmt: skip
                body = await answer.read()
                kept = answer.headers.copy()
                for name in ("Transfer-Encoding", "Content-Length"):
                    kept.popall(name, None)
                return web.Response(status=answer.status, headers=kept, body=body)

    async def _handle_socket(
        self, request: web.Request, session: aiohttp.ClientSession, to: str
    ) -> web.StreamResponse:
        async with session.ws_connect(to, headers=self._passed_on(request.headers)) as theirs:
            ours = web.WebSocketResponse()
            await ours.prepare(request)
            await asyncio.wait(
                [
                    asyncio.create_task(_pass(ours, theirs)),
                    asyncio.create_task(_pass(theirs, ours)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            await ours.close()
        return ours

    def _passed_on(self, headers: CIMultiDictProxy[str]) -> dict[str, str]:
        kept = {name: headers[name] for name in PASSED_ON if name in headers}
        if not self.keeps_host:
            del kept["Host"]
        return kept


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pass(source: Socket, to: Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await to.send_bytes(message.data)
        else:
            await to.send_str(message.data)


@asynccontextmanager
async def https_proxy(folder: Path) -> AsyncIterator[HttpsProxy]:
    """Run a proxy with a certificate of its own, which no one signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         f"/CN={HOST}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    proxy = HttpsProxy(unused_port())
    app = web.Application()
    app.router.add_route("*", PREFIX + "{path:/.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", proxy.port, ssl_context=context).start()
        yield proxy
    finally:
        await runner.cleanup()
