"""Apps of browser tabs: each outlives its socket for some minutes, and takes uploads.

A reload, a tunnel that broke or a laptop that slept closes the socket. The app goes on meanwhile, a
reply too, and the next socket of the same tab takes it up: what was drawn is drawn once more.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import shlex
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from tui.terminal.detect import PAGE_CELL, PAGE_PICTURE, PAGE_UPLOADS

KEPT_S = 600.0
"""Seconds for which an app without a socket goes on."""
MOST_APPS = 32
"""Apps at a time; with one more, the one that has been without a socket longest ends."""
END_S = 5.0
"""Seconds that an app has to end by itself."""
LARGEST = 64_000_000
"""Bytes of an uploaded picture."""
MOST_FILES = 32
"""Uploaded files of one app that are kept."""

MODES = b"\x1b[?1049h\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[?25l\x1b[?2004h"
"""Sequences with which Textual's driver begins: a new terminal of a running app lacks them."""

_PICTURE = re.compile(rb"%b(\d{1,8});([A-Za-z0-9+/=]*)\x1b\\" % PAGE_PICTURE.encode())

log = logging.getLogger("textual-serve")
TabKey = tuple[str, str]
"""The cookie of a browser, and the name that a tab of it gave itself."""


class _Service(AppService):
    """App that knows how many pixels a cell of its page has, so that it sends pictures of them.

    It knows the folder of its uploads, too, whose paths mean nothing to the user.
    """

    cell = uploads = ""

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        ours = {PAGE_CELL: self.cell, PAGE_UPLOADS: self.uploads}
        return super()._build_environment(width, height) | ours


class TabApp:
    """The app of one tab, and the socket that shows it now, if there is one."""

    def __init__(self, command: str, downloads: DownloadManager) -> None:
        self._socket: web.WebSocketResponse | None = None
        self._service = _Service(
            f"exec {command}",  # a shell in front of the app would be killed in its place
            write_bytes=self._write_bytes,
            write_str=self._write_str,
            close=self._close,
            download_manager=downloads,
        )
        self.is_over = False
        self.ending: asyncio.TimerHandle | None = None
        self._folder: Path | None = None
        self._uploads = 0
        self.pictures: dict[int, bytes] = {}
        """PNG files that the app draws, by the numbers that its cells have."""

    @property
    def service(self) -> AppService:
        return self._service

    @property
    def is_shown(self) -> bool:
        return self._socket is not None

    async def show(
        self, socket: web.WebSocketResponse, width: int, height: int, cell: str = ""
    ) -> None:
        """Show the app in a socket, which may be another one than before.

        ``cell`` is the size of a cell, of a page that draws pictures.
        """
        before, self._socket = self._socket, socket
        if self.ending is not None:
            self.ending.cancel()
            self.ending = None
        if self._service._process is None:
            self._service.cell = cell
            with suppress(OSError):  # a full disk: then nothing can be sent either
                self._service.uploads = str(self._uploads_folder())
            await self._service.start(width, height)
            assert self._service._task is not None
            loop = asyncio.get_running_loop()  # it may crash without saying so
            self._service._task.add_done_callback(lambda _: loop.create_task(self._close()))
            return
        if before is not None:
            await before.close()
        await self._write_bytes(MODES)
        # another size, then the right one: a terminal that is new is painted wholly
        await self._service.set_terminal_size(width, max(1, height - 1))
        await self._service.set_terminal_size(width, height)

    def hide(self, socket: web.WebSocketResponse) -> None:
        """Note that a socket is closed; whether it was the one that shows the app or not."""
        if self._socket is socket:
            self._socket = None

    async def end(self) -> None:
        """End the app, and delete what was uploaded to it."""
        self.is_over = True
        # textual-serve's reader of an app that ended at once ends by CancelledError
        stopped = asyncio.gather(self._service.stop(), return_exceptions=True)
        try:
            await asyncio.wait_for(stopped, END_S)
        except TimeoutError:
            if self._service._process is not None:
                self._service._process.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def attach(self, name: str, data: bytes) -> None:
        """Give the app a picture, by the way of one that is dropped on a terminal: its path."""
        folder = self._uploads_folder()
        self._uploads += 1
        place = folder / str(self._uploads)
        place.mkdir()
        file = place / safe_name(name)
        await asyncio.to_thread(file.write_bytes, data)
        shutil.rmtree(folder / str(self._uploads - MOST_FILES), ignore_errors=True)
        await self._service.send_bytes(f"\x1b[200~{shlex.quote(str(file))}\x1b[201~".encode())

    def _uploads_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="phichat-upload-"))
        return self._folder

    async def _write_bytes(self, data: bytes) -> None:
        if picture := _PICTURE.fullmatch(data):
            number, png = int(picture[1]), base64.b64decode(picture[2])
            self.pictures.pop(number, None)
            if png:
                self.pictures[number] = png
            return
        if self._socket is not None:
            try:
                await self._socket.send_bytes(data)
            except ConnectionError:  # it is closed, and a new one will be shown all of it
                self._socket = None

    async def _write_str(self, text: str) -> None:
        if self._socket is not None:
            await self._socket.send_str(text)

    async def _close(self) -> None:
        self.is_over = True
        if self._socket is not None:
            await self._socket.close()


class TabApps:
    """The apps of all tabs of the browsers that were let in."""

    def __init__(self, command: str, downloads: DownloadManager, kept_s: float = KEPT_S) -> None:
        self._command, self._downloads, self._kept_s = command, downloads, kept_s
        self._apps: dict[TabKey, TabApp] = {}

    def find(self, key: TabKey) -> TabApp | None:
        """Return the app of a tab; None if it has ended."""
        app = self._apps.get(key)
        return None if app is None or app.is_over else app

    async def take(self, key: TabKey) -> TabApp:
        """Return the app of a tab, or a new one."""
        if (app := self.find(key)) is None:
            await self._make_room()
            self._apps[key] = app = TabApp(self._command, self._downloads)
        return app

    async def leave(self, key: TabKey, app: TabApp, socket: web.WebSocketResponse) -> None:
        """Note that a tab's socket is closed: its app ends in some minutes, or has ended."""
        app.hide(socket)
        if app.is_over:
            await self._end(key, app)
        elif not app.is_shown:
            loop = asyncio.get_running_loop()
            app.ending = loop.call_later(
                self._kept_s, lambda: loop.create_task(self._end_hidden(key, app))
            )

    async def close(self) -> None:
        """End all apps."""
        await asyncio.gather(*(self._end(key, app) for key, app in list(self._apps.items())))

    async def _make_room(self) -> None:
        hidden = [(key, app) for key, app in self._apps.items() if not app.is_shown]
        if len(self._apps) >= MOST_APPS and hidden:
            await self._end(*hidden[0])

    async def _end_hidden(self, key: TabKey, app: TabApp) -> None:
        if not app.is_shown:
            await self._end(key, app)

    async def _end(self, key: TabKey, app: TabApp) -> None:
        if self._apps.get(key) is app:
            del self._apps[key]
        await app.end()


def safe_name(name: str) -> str:
    """Return the name of an uploaded file as one that can lead nowhere else."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c if c.isprintable() else "_" for c in last).strip().lstrip(".")
    stem, dot, suffix = kept.rpartition(".")
    return f"{stem[:80]}{dot}{suffix[:10]}" if dot else kept[:80] or "picture"
