"""Web server of ``phichat serve``: textual-serve behind a token, a cookie, Host and Origin.

The socket drives the app, so that without these any web page that the user visits
could (a page may open a websocket to this machine), and any other user of the machine.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
import secrets
import shlex
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server, to_int
from yarl import URL

from assistant.cli.browser_apps import LARGEST, TabApps, TabKey, safe_name
from assistant.values.words import file_size

PAGE = Path(__file__).parent / "browser_page"
"""Folder of the page's template: fonts and scripts come from this server alone."""

OPENS, OPENED = "this.terminal.open(e)", "e.terminal=this.terminal"
"""Statement of textual-serve's script that opens its terminal, and one that shows it to ours."""

SHUTDOWN_S = 3.0
"""Seconds that open tabs get to end their apps."""

HEADERS = {
    # xterm.js sets styles; some browsers don't count a websocket as 'self'
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

NOT_OURS = (
    "phichat does not know this address as its own. Where a proxy stands in front of it, start it "
    "with --public-url and the address of the page.\n"
)
REFUSED = (
    "This is phichat, and this browser was not let in. Open the address that phichat serve printed "
    "last: each lets one browser in.\n"
)


class GuardedServer(Server):
    """Server that answers only browsers that were let in by a token, at its own addresses."""

    def __init__(self, host: str, port: int, public_url: str | None = None) -> None:
        # -P: a file of the current folder that is called like a module is not run
        command = shlex.join([sys.executable, "-P", "-m", "assistant.cli"])
        super().__init__(
            command,
            host=host,
            port=port,
            title="phichat",
            public_url=public_url and public_url.rstrip("/"),
            templates_path=PAGE,
        )
        self._public = URL(self.public_url) if public_url else None
        self._prefix = self._public.path.rstrip("/") if self._public is not None else ""
        # cookies of all ports of a host are one jar, and so are those of all its paths here
        self._cookie_name = f"phichat_{port}" + re.sub(r"\W", "_", self._prefix)
        self._token = secrets.token_urlsafe(32)
        self._cookies: list[str] = []
        self._apps = TabApps(self.command, self.download_manager)

    @property
    def entrance(self) -> str:
        """The address that lets one browser in."""
        address = self.public_url
        if self._public is None and ":" in self.host:
            address = f"http://[{self.host}]:{self.port}"
        return f"{address}/?token={self._token}"

    def initialize_logging(self) -> None:
        """Log what fails, without the content of messages or variables."""
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
        logging.getLogger("textual-serve").addFilter(_without_traceback)

    def serve(self, debug: bool = False) -> None:
        """Serve until ctrl-C. Raises OSError where the address can't be listened on."""
        self.initialize_logging()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        runner = web.AppRunner(await self._make_app(), shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            print(f"phichat is served until ctrl-C at\n  {self.entrance}", flush=True)
            await ended.wait()
        finally:
            await runner.cleanup()

    async def on_shutdown(self, app: web.Application) -> None:
        """End the apps of all tabs."""
        await self._apps.close()

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing yet: the server does not listen."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.add_routes(
            [
                web.get("/page.js", self._handle_script),
                web.get("/terminal.js", self._handle_terminal),
                web.get("/picture/{tab:[0-9a-f]{32}}/{number:[0-9]{1,8}}", self._handle_picture),
                web.get("/ws/{tab:[0-9a-f]{32}}", self._handle_tab),
                web.get("/alive/{tab:[0-9a-f]{32}}", self._handle_alive),
                web.post("/upload/{tab:[0-9a-f]{32}}", self._handle_upload),
            ]
        )
        app.middlewares.append(self._guard())
        app.on_response_prepare.append(_add_headers)
        return app

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not (self._is_host_ours(request.host) and self._is_origin_ours(request)):
                return web.Response(status=403, text=NOT_OURS)
            if self._prefix and request.path.startswith(f"{self._prefix}/"):
                request, handler = await self._without_prefix(request)
            token = request.query.get("token")
            if token is not None and request.path == "/":
                return self._let_in(token)
            if not self._is_let_in(request):
                return web.Response(status=403, text=REFUSED)
            return await handler(request)

        return guard

    async def _without_prefix(self, request: web.Request) -> tuple[web.Request, Handler]:
        """Find what a proxy asks for that leaves the path of the public address in front."""
        path = request.rel_url.raw_path.removeprefix(self._prefix)
        asked = request.clone(
            rel_url=request.rel_url.with_path(path, encoded=True, keep_query=True)
        )
        asked._match_info = match = await request.app.router.resolve(asked)
        match.add_app(request.app)
        return asked, match.handler

    def _is_host_ours(self, host: str) -> bool:
        """Check a Host header: a name that another page's owner points here is refused.

        A proxy may send the public name, with or without its port, or the one by which it finds us.
        """
        try:
            asked = urlsplit(f"//{host}")
            name, port = asked.hostname or "", asked.port
        except ValueError:
            return False
        return self._is_public(name) or self._is_local(name, port)

    def _is_public(self, name: str) -> bool:
        public = self._public
        return public is not None and name in (public.host, public.raw_host)

    def _is_local(self, name: str, port: int | None) -> bool:
        if port != self.port and not (port is None and self.port == 80):
            return False
        return name == self.host.lower() or _reaches(name, self.host)

    def _is_origin_ours(self, request: web.Request) -> bool:
        """Check that a page of ours asks; a websocket has to say which page opened it."""
        origin = request.headers.get("Origin")
        if origin is None:
            is_read = request.method in ("GET", "HEAD") and not request.path.startswith("/ws")
            return is_read and request.headers.get("Upgrade") is None
        asked = urlsplit(f"//{request.host}")
        ours = [str(self._public.origin())] if self._public is not None else []
        if self._is_local(asked.hostname or "", asked.port):
            ours.append(f"http://{request.host}")
        return any(hmac.compare_digest(origin.encode(), one.encode()) for one in ours)

    def _is_let_in(self, request: web.Request) -> bool:
        cookie = request.cookies.get(self._cookie_name, "").encode()
        return any(hmac.compare_digest(cookie, known.encode()) for known in self._cookies)

    def _key(self, request: web.Request) -> TabKey:
        return request.cookies[self._cookie_name], request.match_info["tab"]

    async def _handle_script(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "page.js")

    async def _handle_terminal(self, request: web.Request) -> web.Response:
        """Send textual-serve's script, with the terminal within reach of ours."""
        script = (self.statics_path / "js" / "textual.js").read_text("utf-8")
        script = script.replace(OPENS, f"{OPENS},{OPENED}", 1)
        return web.Response(text=script, content_type="text/javascript")

    async def _handle_picture(self, request: web.Request) -> web.Response:
        """Send a picture that the app of a tab draws."""
        app = self._apps.find(self._key(request))
        png = None if app is None else app.pictures.get(int(request.match_info["number"]))
        if png is None:
            return web.Response(status=404)
        return web.Response(body=png, content_type="image/png")

    async def _handle_tab(self, request: web.Request) -> web.WebSocketResponse:
        """Show the app of a tab, a new one or one that it had before."""
        socket = web.WebSocketResponse(heartbeat=15)
        await socket.prepare(request)
        key = self._key(request)
        app = await self._apps.take(key)
        width, height = (to_int(request.query.get(one, ""), 80) for one in ("width", "height"))
        try:
            await app.show(socket, width, height, request.query.get("cell", ""))
            await self._process_messages(socket, app.service)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
            await socket.close()  # no page of ours writes that
        finally:
            await self._apps.leave(key, app, socket)
        return socket

    async def _handle_alive(self, request: web.Request) -> web.Response:
        """Say whether the app of a tab still runs."""
        return web.Response(status=200 if self._apps.find(self._key(request)) is None else 204)

    async def _handle_upload(self, request: web.Request) -> web.Response:
        """Give a picture to the app of a tab."""
        app = self._apps.find(self._key(request))
        if app is None:
            return web.Response(status=404, text="The app of this page has ended: start it again.")
        name = request.query.get("name", "")
        data = bytearray()
        async for piece in request.content.iter_chunked(1 << 16):
            data += piece
            if len(data) > LARGEST:
                words = f"{safe_name(name)} has more than {file_size(LARGEST)}: shrink it."
                return web.Response(status=413, text=words)
        try:
            await app.attach(name, bytes(data))
        except OSError:
            words = f"{safe_name(name)} can't be stored where phichat runs: is the disk full?"
            return web.Response(status=507, text=words)
        return web.Response(status=204)

    def _let_in(self, token: str) -> web.Response:
        """Exchange the token, which is good for once, for a cookie."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return web.Response(status=403, text=REFUSED)
        self._token = secrets.token_urlsafe(32)
        self._cookies.append(secrets.token_urlsafe(32))
        print(f"A browser was let in. For another one:\n  {self.entrance}", flush=True)
        public = self._public
        answer = web.Response(status=303, headers={"Location": "./"})  # below a proxy's path, too
        answer.set_cookie(
            self._cookie_name,
            self._cookies[-1],
            httponly=True,
            samesite="Strict",
            secure=public is not None and public.scheme == "https",
        )
        return answer

    @aiohttp_jinja2.template("app_index.html")
    async def handle_index(self, request: web.Request) -> dict[str, object]:
        """Fill in the page, whose addresses are relative to that by which the browser knows it."""
        return {
            "title": self.title,
            "font_size": to_int(request.query.get("fontsize", "16"), 16),
        }


def _reaches(name: str, listens: str) -> bool:
    """Check that ``name`` is an address of this server, which no page's owner can point elsewhere.

    A server of this machine alone goes by any loopback address, one of all interfaces by any.
    """
    try:
        here = ipaddress.ip_address("127.0.0.1" if listens == "localhost" else listens)
    except ValueError:
        return False
    if name == "localhost":
        return here.is_loopback or here.is_unspecified
    try:
        there = ipaddress.ip_address(name)
    except ValueError:
        return False
    return here.is_unspecified or (here.is_loopback and there.is_loopback)


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
