"""Secrets are never shown or stored: marked ones are planted, and all that comes out is read."""

from __future__ import annotations

import html
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.pilot import Pilot

from assistant.cli.root_command import cli
from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from assistant.values.text import masked
from tests.servers.openai_server import Answer, Server, event, refusing, saying, serving
from tests.tiers import few_quick
from tests.tui.desk import area, notices, screen, send, shown, threads_ended, until
from tui.app import PhichatApp

MARK = "xSECRETx"
PICTURE = Path(__file__).parents[1] / "data" / "goldens" / "images" / "sq336.png"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(f"default login me password {MARK}-netrc\n")
    monkeypatch.setenv("PHICHAT_SERVER_KEY_127_0_0_1", f"sk-{MARK}-bearer")
    monkeypatch.setenv("HF_TOKEN", f"hf_{MARK}")
    with serving() as one:
        yield one


def said(*arguments: str | Path) -> str:
    """Return what a command prints on both streams; a traceback is a failure."""
    done = CliRunner().invoke(cli, list(map(str, arguments)), prog_name="phichat")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done.output


def stored() -> str:
    """Every byte below the home of phichat: database, logs, exports, configuration."""
    home = Path(os.environ["PHICHAT_HOME"])
    files = [path for path in home.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("latin-1") for path in files)


REPEATS = {
    "401": refusing(401, f"Bad key sk-{MARK}-bearer"),
    "400": refusing(400, f"The header 'Authorization: Bearer sk-{MARK}-bearer' is odd"),
    "500": Answer([f"Stack: sk-{MARK}-bearer".encode()], 500, "text/html"),
    "stream": Answer([event({"error": {"message": f"quota of sk-{MARK}-bearer"}})]),
    "finish": Answer([event({"choices": [{"index": 0, "delta": {"content": ""},
                                          "finish_reason": f"sk-{MARK}-bearer"}]})]),
    "redirect": Answer([], 307, "text/plain", {"Location": f"http://127.0.0.1:9/?k=sk-{MARK}-bearer"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATS)
def test_a_key_that_a_server_repeats(server: Server, name: str) -> None:
    server.answers = [REPEATS[name]]
    shown = said("ask", "--model", server.address, "Hello")
    shown += said("ask", "--model", server.address, "--json", "Hello")
    server.models = REPEATS[name]
    shown += said("models", "list") + said("doctor", "--quick", "--model", server.address)
    shown += said("doctor", "--quick", "--json", "--model", server.address)
    shown += said("models", "use", server.address)
    assert f"Bearer sk-{MARK}-bearer" in server.asked[0].headers.get("Authorization", "")
    assert MARK not in shown
    assert MARK not in stored()


SPELLED: dict[str, Callable[[str], str]] = {
    "percent": lambda key: urllib.parse.quote(key, safe=""),
    "HTML": html.escape,
    "JSON": lambda key: json.dumps(key)[1:-1],
    "other case": str.upper,
    "a blank for +": lambda key: key.replace("+", " "),
    "its beginning": lambda key: key[:20],
    "its end": lambda key: f"…{key[4:]}",
}


@pytest.mark.parametrize("name", SPELLED)
def test_a_key_that_a_server_spells_otherwise(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    key = f'sk-{MARK}-a/b+c=%"&<d'
    monkeypatch.setenv("PHICHAT_SERVER_KEY_127_0_0_1", key)
    server.answers = [refusing(400, f"Incorrect key provided: {SPELLED[name](key)}.")]
    shown = said("ask", "--model", server.address, "Hello")
    assert "Incorrect key provided" in shown
    assert MARK.lower() not in shown.lower()
    assert MARK.lower() not in stored().lower()


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_a_key_in_an_answer(server: Server, cut: int) -> None:
    text = f"You sent Authorization: Bearer sk-{MARK}-bearer. sk-x is none. Ends: sk-{MARK}-be"
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    server.answers = [saying(*pieces)]
    shown = said("ask", "--model", server.address, "Hello")
    assert "Bearer •••. sk-x is none. Ends: sk-" in shown
    assert f"{MARK}-bearer" not in shown + stored()


DATABASES = [
    f"postgresql+psycopg://me:{MARK}@127.0.0.1:9/db",
    f"postgresql+psycopg://me:{MARK}%40{MARK}@127.0.0.1:9/db",
    f"postgresql+psycopg://me@127.0.0.1:9/db?password={MARK}",
    f"postgresql+psycopg://me@127.0.0.1:9/db?sslpassword={MARK}&connect_timeout=1",
    f"postgresql+nodriver://me:{MARK}@127.0.0.1:9/db",
    f"postgresql+psycopg://me:{MARK}@[::bad/db",
]


@pytest.mark.parametrize("database", DATABASES)
def test_the_password_of_a_database(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_DATABASE", database)
    shown = ""
    for arguments in (
        ["config", "show"], ["config", "show", "--json"], ["sessions", "list"],
        ["sessions", "list", "--json"], ["doctor", "--quick"], ["doctor", "--quick", "--json"],
        ["models", "list"], ["ask", "Hello"], ["config", "set", "temperature", "0.5"],
    ):  # fmt: skip
        shown += said(*arguments)
    assert MARK not in shown
    assert MARK not in stored()


def test_logins_go_to_no_picture_address(server: Server) -> None:
    seen: list[dict[str, str]] = []
    host = server.address.removeprefix("http://")
    server.rule = lambda asked: None
    shown = said("ask", "--model", "demo", "-i", f"http://{host}/picture.png?token={MARK}", "What?")
    shown += said("ask", "--model", "demo", "-i", f"http://me:{MARK}@127.0.0.1:9/a.png", "What?")
    seen += [asked.headers for asked in server.asked if "picture" in asked.path]
    assert seen
    assert not any("Authorization" in headers for headers in seen)
    assert MARK not in shown
    assert MARK not in stored()


def test_proxies_and_logins_in_addresses(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    host = server.address.removeprefix("http://")
    shown = said("ask", "--model", f"http://me:{MARK}@{host}", "Hello")
    shown += said("models", "use", f"http://me:{MARK}@{host}") + said("config", "show")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{MARK}@127.0.0.1:9")
    monkeypatch.setenv("http_proxy", f"http://me:{MARK}@127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{MARK}@127.0.0.1:9")
    shown += said("ask", "--model", "http://192.0.2.1:8000", "Hello")
    shown += said("ask", "-i", "http://192.0.2.1/a.png", "Hello")
    shown += said("models", "pull", "microsoft/Phi-3-vision-128k-instruct")
    shown += said("doctor", "--quick")
    assert MARK not in shown
    assert MARK not in stored()


def test_a_good_answer_stores_no_key(server: Server, tmp_path: Path) -> None:
    server.answers = [saying("Fine.")]
    shown = said("ask", "--model", server.address, "-i", PICTURE, "Hello")
    shown += said("sessions", "export", "--all")
    shown += said("sessions", "export", "--all", "--format", "html", "-o", f"{tmp_path}/out/")
    shown += "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "Fine." in shown
    assert MARK not in shown
    assert MARK not in stored()


async def walked(pilot: Pilot[None]) -> str:
    """Go over all pages, answers of an attached address and of a question between; all words."""
    words = ""
    for keys in ("f9", "f8", "f5", "f4", "f12", "ctrl+o", "f1", "ctrl+f"):
        await pilot.press(*keys.split())
        await threads_ended(pilot)
        words += shown(pilot)
        await pilot.press("pagedown", "escape", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), f"the chat after {keys}")
    return words + shown(pilot) + "".join(notices(pilot))


@pytest.mark.parametrize(
    ("name", "database"),
    few_quick([*((name, None) for name in REPEATS), ("401", DATABASES[2])]),
)
async def test_the_screens_of_the_app(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, database: str | None
) -> None:
    if database is not None:
        monkeypatch.setenv("PHICHAT_DATABASE", database)
    monkeypatch.setenv("PHICHAT_MODEL", server.address)
    server.answers = [REPEATS[name]] * 3
    settings = load_settings()
    engine = open_engine(settings)
    app = PhichatApp(engine, settings)
    async with app.run_test(size=(140, 45)) as pilot:
        await threads_ended(pilot)
        await send(pilot, "Hello")
        await until(pilot, lambda: notices(pilot) or server.chats, "an answer or a refusal")
        await until(pilot, lambda: screen(pilot).chat.running is None, "the end")
        area(pilot).load_text(f"http://me:{MARK}@127.0.0.1:9/a.png")
        await pilot.press("enter")
        words = shown(pilot).replace(area(pilot).text, "") + await walked(pilot)
    engine.close()
    assert MARK not in words.replace(f"me:{MARK}@127.0.0.1:9/a.png", "")
    assert MARK not in stored().replace(f"me:{MARK}@127.0.0.1:9/a.png", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:pw@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:p@w@h/db", "postgresql://me:***@h/db"),
        ("x?password=a&b=c", "x?password=***&b=c"),
        ("host=h PASSWORD=a user=u", "host=h PASSWORD=*** user=u"),
        ("http://h:8000/v1#model", "http://h:8000/v1#model"),
        ("monkey=banana", "monkey=banana"),
        ("http://key@h:8/v1", "http://***@h:8/v1"),
        ("socks5://key@h:8", "socks5://***@h:8"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("http://h/a@b", "http://h/a@b"),
        ("postgresql+psycopg:/me:pw@h/db", "postgresql+psycopg:/me:***@h/db"),
        ("postgresql+psycopg//me:pw@h/db", "postgresql+psycopg//me:***@h/db"),
        ("x?options=-c+a.password%3Dpw&b=c", "x?options=-c+a.password%3D***&b=c"),
    ],
)
def test_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://me@127.0.0.1:9/x?PASSWORD={MARK}",  # an option that is none
        f"postgresql+psycopg://me:a@{MARK}@127.0.0.1:9/x",  # the host of which is no host
        f" postgresql+psycopg://me:{MARK}@127.0.0.1:9/x",
        f"postgresql+psycopg:/me:{MARK}@127.0.0.1:9/x",
        f"postgresql+psycopg//me:{MARK}@127.0.0.1:9/x",
        f"host=127.0.0.1 port=9 user=me password={MARK}",
        f"postgresql+psycopg://me@127.0.0.1:9/x?options=-c%20a.password%3D{MARK}",
    ],
)
def test_a_mistyped_address_is_one_sentence_and_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PHICHAT_DATABASE", address)
    for command in ("sessions list", "config show", "config show --json", "doctor --quick"):
        done = CliRunner().invoke(cli, command.split())
        assert MARK not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit)
        if command == "sessions list":
            assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert list(here.iterdir()) == []
