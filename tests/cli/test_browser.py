"""``phichat serve`` in a real Chromium: skipped where there is none."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from assistant.settings.load import load
from assistant.values.conversation import Draft, Turn
from assistant.worker.shared_workers import shared_workers
from storage.store import Store
from tests.cli.https_proxy import HAS_OPENSSL, HOST, PREFIX, https_proxy
from tests.servers.openai_server import Answer, Server, delta, event, serving
from tests.wait import LIMIT_S, until, until_found

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
         "--remote-debugging-port=0", "--window-size=1100,700", "about:blank")  # fmt: skip

PICTURE = """(async () => {
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 48;
  const context = canvas.getContext('2d');
  for (let x = 0; x < 64; x++) {
    context.fillStyle = x & 2 ? '#00f' : '#f00'; context.fillRect(x, 0, 1, 48);
  }
  const blob = await new Promise((done) => canvas.toBlob(done));
  const data = new DataTransfer();
  data.items.add(new File([blob], '%s', {type: 'image/png'}));
  %s
  return true;
})()"""
DROP = "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));"
PASTE = """document.querySelector('.xterm-helper-textarea').dispatchEvent(
  new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));"""
PICK = """const picker = document.querySelector('#pictures');
  picker.files = data.files; picker.dispatchEvent(new Event('change'));"""
TEXT = f"""(() => {{ const data = new DataTransfer();
  data.setData('text/plain', 'pasted words'); {PASTE} }})()"""
DRAWN = """(() => {
  const canvas = document.querySelector('.pictures');
  const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const is = (i, at) => seen[i + at] > 230 && seen[i + 2 - at] < 25;
  let [red, blue] = [0, 0];
  for (let i = 0; i < seen.length; i += 4) { red += is(i, 0); blue += is(i, 2); }
  return red > 800 && blue > 800;
})()"""
"""Both colours are seen: no cell of a terminal is as narrow as these stripes."""
COVERED = """document.querySelector('.xterm-screen').getBoundingClientRect().bottom
  > document.querySelector('#attach').getBoundingClientRect().top"""
STATE = "document.body.className + ': ' + document.querySelector('.said').textContent"


class Tab:
    """One page, driven by the protocol of the browser's own tools."""

    def __init__(self, tools: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._count = tools, 0
        self.asked: list[str] = []

    async def do(self, method: str, **given: Any) -> Any:
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": given})
        while True:
            said = json.loads((await self._socket.receive(timeout=LIMIT_S)).data)
            if said.get("method") == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
            if said.get("id") == self._count:
                return said.get("result")

    async def run(self, script: str) -> Any:
        given = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self.do("Runtime.evaluate", **given) or {}
        return answer.get("result", {}).get("value")

    async def open(self, address: str) -> None:
        for one in ("Page", "Network", "Runtime"):
            await self.do(f"{one}.enable")
        await self.do("Page.bringToFront")  # one behind another paints nothing
        await self.do("Page.navigate", url=address)
        await self.until("document.body.classList.contains('-focused')")

    async def go(self, address: str, script: str) -> None:
        """Open a page that is not ours, and wait until ``script`` is true in it."""
        for one in ("Page", "Network", "Runtime"):
            await self.do(f"{one}.enable")
        await self.run("window.isOld = true")
        await self.do("Page.navigate", url=address)
        await self.until(f"!window.isOld && {script}")

    async def reload(self, script: str) -> None:
        """Load the page again, and wait until ``script`` is true in the new one."""
        await self.run("window.isOld = true")
        await self.do("Page.reload")
        await self.until(f"!window.isOld && {script}")

    async def press(self, key: str, code: int, text: str = "") -> None:
        given = {"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.do("Input.dispatchKeyEvent", **given, **({"text": text} if text else {}))

    async def until(self, script: str) -> None:
        """Wait until ``script`` is true; each look may find another page than the one before."""
        shown = ""

        async def look() -> object:
            nonlocal shown
            shown = await self.run(STATE)
            return await self.run(f"Boolean(document.body && ({script}))")

        await until_found(look, script, lambda: shown)


@asynccontextmanager
async def chromium(profile: Path, *flags: str) -> AsyncIterator[tuple[Tab, Tab]]:
    """Two tabs of a browser that has nothing of anyone's."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *flags, *FLAGS, f"--user-data-dir={profile}",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        file = profile / "DevToolsActivePort"
        await until(lambda: file.exists() and file.read_text().strip(), "the browser")
        tools = f"http://127.0.0.1:{file.read_text().split()[0]}/json"
        async with aiohttp.ClientSession() as session:
            sockets = []
            for _ in range(2):
                async with session.put(f"{tools}/new") as answer:
                    address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                sockets.append(await session.ws_connect(address, max_msg_size=0))
            yield Tab(sockets[0]), Tab(sockets[1])
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@contextmanager
def phichat_serve(home: Path, model: str, *options: str) -> Iterator[str]:
    """Run the server; yields the address that lets the browser in."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | {"PHICHAT_HOME": str(home), "PHICHAT_MODEL": model}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "assistant.cli", "serve", "--port", str(port), *options],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = (re.search(r"https?://\S+token=\S+", line) for line in process.stdout)
        try:
            yield next(match[0] for match in found if match)
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture
def entrance(server: Server, tmp_path: Path) -> Iterator[str]:
    """The address that lets the browser in; a server on this machine answers in the app."""
    with phichat_serve(tmp_path / "home", f"{server.address}/v1#tiny") as address:
        yield address


@pytest.mark.slow
async def test_pictures_text_and_a_reload_in_mid_reply(
    server: Server, entrance: str, tmp_path: Path
) -> None:
    gate = threading.Event()
    pieces = [event(delta("Three ")), lambda: gate.wait(LIMIT_S), event(delta("shapes.", "stop"))]
    server.answers = [Answer([*pieces, event("[DONE]")])]
    async with chromium(tmp_path / "profile") as (tab, other):
        await tab.open(entrance)
        # 1) dropped, pasted, picked: each takes the way of a dropped path
        for name, act in (("one.png", DROP), ("two.png", PASTE), ("three.png", PICK)):
            assert await tab.run(PICTURE % (name, act))
            await tab.until("document.querySelector('.said').textContent === ''")
        await _send_pasted(tab, tmp_path, 3)
        await until(lambda: server.chats, "the question")
        # 2) the page is loaded again in mid-reply, and the app goes on
        assert await tab.run(COVERED) is False
        name = await tab.run("sessionStorage.getItem('phichat-tab')")
        await tab.reload("document.body.classList.contains('-focused')")
        assert await tab.run("sessionStorage.getItem('phichat-tab')") == name
        gate.set()
        await until(lambda: _stored(tmp_path)[1][-1].finish_reason, "the reply")
        assert _stored(tmp_path)[1][-1].text == "Three shapes."
        assert len(server.chats) == 1
        said = server.chats[0].said[0][1]
        assert [isinstance(one, str) for one in said] == [False, False, False, True]
        # 3) another tab is another app, and no request leaves the machine
        await other.open(entrance.partition("?")[0])
        assert await other.run("sessionStorage.getItem('phichat-tab')") != name
        assert {one.partition("?")[0].split("/")[2] for one in tab.asked + other.asked} == {
            entrance.split("/")[2]
        }


@pytest.mark.slow
async def test_pictures_are_drawn_in_their_own_pixels(
    server: Server, entrance: str, tmp_path: Path
) -> None:
    server.answers = [Answer([event(delta("Stripes.", "stop")), event("[DONE]")])]
    async with chromium(tmp_path / "profile") as (tab, _):
        await tab.open(entrance)
        assert await tab.run(PICTURE % ("stripes.png", DROP))
        await _send_pasted(tab, tmp_path, 1)
        await tab.until(DRAWN)
        # a dialog above tints the chat, so that it has half blocks below; a new page asks for all
        await tab.press("F1", 112)
        await tab.until(f"!{DRAWN}")
        await tab.press("Escape", 27)
        await tab.until(DRAWN)
        await tab.reload(f"document.querySelector('.pictures') && {DRAWN}")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_OPENSSL, reason="needs openssl, for a certificate")
@pytest.mark.parametrize("kept", [("host",), ("path",), ("host", "path")])
async def test_behind_an_https_proxy_with_a_port_and_a_path(
    server: Server, tmp_path: Path, kept: tuple[str, ...]
) -> None:
    server.answers = [Answer([event(delta("Stripes.", "stop")), event("[DONE]")])]
    flags = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP {HOST} 127.0.0.1")
    async with https_proxy(tmp_path) as proxy, chromium(tmp_path / "profile", *flags) as (tab, _):
        options = ("--port", str(port := unused_port()), "--public-url", proxy.address)
        model = f"{server.address}/v1#tiny"
        with phichat_serve(tmp_path / "home", model, *options) as entrance:
            assert entrance.startswith(f"{proxy.address}/?token=")
            proxy.upstream = f"http://127.0.0.1:{port}"
            proxy.keeps_host, proxy.keeps_path = "host" in kept, "path" in kept
            await tab.open(entrance)
            assert await tab.run(PICTURE % ("stripes.png", PICK))
            await _send_pasted(tab, tmp_path, 1)
            await tab.until(DRAWN)
            await tab.reload(f"document.querySelector('.pictures') && {DRAWN}")
            assert {one.partition("?")[0].rpartition(PREFIX)[0] for one in tab.asked} == {
                f"https://{HOST}:{proxy.port}"
            }
            (found,) = (await tab.do("Network.getCookies"))["cookies"]
            assert (found["secure"], found["httpOnly"], found["sameSite"]) == (True, True, "Strict")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_OPENSSL, reason="needs openssl, for a certificate")
async def test_the_page_says_what_a_proxy_does_not_pass_on(tmp_path: Path) -> None:
    flags = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP {HOST} 127.0.0.1")
    said = "document.querySelector('.said').textContent"
    async with https_proxy(tmp_path) as proxy, chromium(tmp_path / "profile", *flags) as (tab, _):
        options = ("--port", str(port := unused_port()), "--public-url", proxy.address)
        with phichat_serve(tmp_path / "home", "demo", *options) as entrance:
            proxy.upstream, proxy.passes_sockets = f"http://127.0.0.1:{port}", False
            await tab.go(entrance, "document.body.classList.contains('-shut')")
            # 1) what it passes on from now on is there without another token
            proxy.passes_sockets, proxy.largest = True, 100
            await tab.open(f"{proxy.address}/")
            await tab.run(PICTURE % ("large.png", PICK))
            await tab.until(f"{said}.includes('refuses files as large as large.png')")
            # 2) it answers in the place of a server that is away, and then of one started again
            proxy.upstream = f"http://127.0.0.1:{unused_port()}"
        await tab.until("document.body.classList.contains('-lost')")
        options = ("--port", str(port), "--public-url", proxy.address)
        with phichat_serve(tmp_path / "home", "demo", *options):
            proxy.upstream = f"http://127.0.0.1:{port}"
            await tab.until("document.body.innerText.includes('was not let in')")


REFUSED = """(async (address, tab) => {
  const opened = (socket) => new Promise((done) => {
    socket.onopen = () => done('opened'); socket.onerror = () => done('refused');
  });
  const read = (path, given) => fetch(address + path, {credentials: 'include', ...given})
    .then((answer) => answer.text(), () => 'refused');
  const posted = (mode) => read(
    'upload/' + tab + '?name=foreign.png', {method: 'POST', body: 'x', mode});
  return [
    await opened(new WebSocket(address.replace('http', 'ws') + 'ws?width=80&height=24')),
    await opened(new WebSocket(address.replace('http', 'ws') + `ws/${tab}?width=80&height=24`)),
    await read(''), await read('page.js'), await posted('cors'), await posted('no-cors'),
  ];
})('%s', '%s')"""
"""Attempts of a page of another origin, and what comes of each."""
STATUS = "performance.getEntriesByType('navigation')[0].responseStatus"


@asynccontextmanager
async def foreign_page() -> AsyncIterator[str]:
    """A page of another program on this machine: for a browser the same site, another origin."""
    app = web.Application()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<title>Elsewhere</title>", content_type="text/html")

    app.router.add_get("/", page)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := unused_port()).start()
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


@pytest.mark.slow
async def test_foreign_pages_names_and_tokens_are_refused(entrance: str, tmp_path: Path) -> None:
    """The browser was let in, and sends its cookie from other ports of the same host, too."""
    address, _, token = entrance.partition("?token=")
    port = address.rstrip("/").rpartition(":")[2]
    flags = (f"--host-resolver-rules=MAP {HOST} 127.0.0.1",)
    async with (
        foreign_page() as foreign,
        chromium(tmp_path / "profile", *flags) as (tab, other),
    ):
        await tab.open(entrance)
        name = await tab.run("sessionStorage.getItem('phichat-tab')")
        # 1) a page of another origin: no socket, no answer that it could read, no upload
        await other.go(foreign, "document.title === 'Elsewhere'")
        assert (await other.do("Network.getCookies", urls=[address]))["cookies"], "it is sent"
        tried = await other.run(REFUSED % (address, name))
        assert tried == ["refused"] * 6
        assert await tab.run("document.querySelector('.said').textContent") == ""
        # 2) a page that shows ours within itself
        frame = f"document.body.innerHTML = '<iframe src=\"{address}\"></iframe>'"
        await other.run(frame)
        frames = "performance.getEntriesByType('resource').length"
        await other.until(f"{frames} > 0")
        within = [""]  # while it is being loaded
        while within == [""]:
            tree = (await other.do("Page.getFrameTree"))["frameTree"]
            within = [one["frame"]["url"] for one in tree["childFrames"]]
        assert within == ["chrome-error://chromewebdata/"]
        # 3) another name of this machine, a token that was used, a wrong one
        for refused in (
            f"http://{HOST}:{port}/",
            f"http://localhost:{port}/?token={token}",
            f"http://{HOST}:{port}/?token={token}",
        ):
            await other.go(refused, "document.body.innerText.length > 0")
            assert await other.run(STATUS) == 403
    async with chromium(tmp_path / "another profile") as (stranger, _):
        for refused in (address, entrance, f"{address}?token={'x' * len(token)}"):
            await stranger.go(refused, "document.body.innerText.length > 0")
            assert await stranger.run(STATUS) == 403


@pytest.mark.slow
async def test_two_tabs_share_one_worker(tmp_path: Path) -> None:
    settings = load(environ={"PHICHAT_HOME": str(tmp_path / "home")})
    with phichat_serve(tmp_path / "home", "demo") as entrance:
        async with chromium(tmp_path / "profile") as (tab, other):
            for each, address in ((tab, entrance), (other, entrance.partition("?")[0])):
                await each.open(address)
                await _send_pasted(each, tmp_path, 0)
                await until(lambda: not _is_typed(tmp_path, 0), "the question")
            await until(
                lambda: sum(turn.finish_reason is not None for turn in _stored(tmp_path)[1]) == 2,
                "two replies", lambda: _stored(tmp_path),
            )  # fmt: skip
            (worker,) = shared_workers(settings.runtime_dir)
            assert worker.clients == 2


async def _send_pasted(tab: Tab, tmp_path: Path, pictures: int) -> None:
    """Paste words, and send them once the draft with so many pictures is stored."""
    await tab.run(TEXT)
    await until(lambda: _is_typed(tmp_path, pictures), "the draft", lambda: _stored(tmp_path))
    await tab.press("Enter", 13, "\r")


def _is_typed(tmp_path: Path, pictures: int) -> bool:
    draft, _ = _stored(tmp_path)
    typed = draft is not None and (draft.text, len(draft.pictures))
    return typed == ("pasted words", pictures)


def _stored(tmp_path: Path) -> tuple[Draft | None, list[Turn]]:
    """Read what the app has stored by itself: the draft of a new chat, and every turn."""
    settings = load(environ={"PHICHAT_HOME": str(tmp_path / "home")})
    with closing(Store.open(settings.store_location)) as store:
        turns = [turn for one in store.sessions() for turn in store.conversation(one.id).turns]
        return store.draft(None), turns
