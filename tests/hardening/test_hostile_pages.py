"""Every page and dialog of the app on hostile text: none paints or edits a control character.

The classes of tui/pages are walked, so that a page that is added must be added here. Each is opened
on texts, names, titles, words and errors full of escapes, its keys are pressed, and into each of
its fields escapes are typed and pasted.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from textual import events
from textual.content import Content
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, TextArea

import tui.pages
from assistant.engine.chances import Other, Token
from assistant.values.conversation import Conversation, Draft, FinishReason, Summary, Thought
from assistant.values.errors import PhichatError
from assistant.values.events import Phase
from assistant.values.text import plain
from tests.hardening.test_screen_text import HOSTILE, assert_plain
from tests.tiers import few_quick
from tests.tui.desk import Desk, composer, notices, opened, picture_file, send, until
from tui import requests
from tui.app import PhichatApp
from tui.pages.attach import AttachScreen
from tui.pages.choose import ChooseScreen
from tui.pages.compare import CompareScreen
from tui.pages.connect import ConnectScreen
from tui.pages.context import ContextScreen
from tui.pages.detail import DetailChoices, DetailScreen
from tui.pages.doubts import DoubtsScreen
from tui.pages.edit_setting import EditSettingScreen
from tui.pages.engine_state import EngineStateScreen
from tui.pages.help import LIST, HelpScreen
from tui.pages.models import ConfirmScreen, ModelsScreen
from tui.pages.notices import NoticesScreen
from tui.pages.palette import Palette, SessionPalette
from tui.pages.password import PasswordScreen
from tui.pages.picture import PictureScreen, Shown
from tui.pages.pictures import PicturesScreen
from tui.pages.rename import RenameScreen
from tui.pages.search import SearchScreen
from tui.pages.settings import SettingsScreen
from tui.pages.shared import SharedScreen
from tui.pages.strip import StripScreen
from tui.pages.write import WriteScreen
from tui.widgets.notice_line import Notice

KINDS = {
    "mixed": HOSTILE,
    "titles, links, clipboard": "a\x1b]0;t\x07b\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\d\x1b]52;c;eA==\x07e",
    "pictures": "a\x1b_Ga=T,f=100;AAAA\x1b\\b\x1bPq#0;2;0;0;0~-\x1b\\c\x1b]1337;File=:AA==\x07d",
    "C1": "".join(f"{code}\N{LATIN SMALL LETTER A}" for code in map(chr, range(0x7F, 0xA0))),
    "C0": "".join(f"{code}a" for code in map(chr, range(0x20))),
    "bidi": "a\u202eb\u2066c\u2067d\u2068e\u202df\u202ag\u202bh\u2069i\u202cj\u200fk\u061cl",
    "markup": "[bold]a[/x.png] [@click=app.quit]b[/] [red \x1b[31m]c {d} $e %s \\[f]",
}
NOW = datetime(2026, 3, 14, tzinfo=UTC)
Make = Callable[[Desk, PhichatApp, Conversation, str], Screen[object]]


def unreadable(*_: object, **__: object) -> object:
    raise PhichatError(HOSTILE)


def strip(desk: Desk, app: PhichatApp, text: str) -> StripScreen:
    return StripScreen(f"{text}.pdf", unreadable, app._gallery)  # type: ignore[arg-type]


def shown(chat: Conversation, text: str) -> list[Shown]:
    return [Shown(chat.turns[0].pictures[0], text, chat.id)]


def details(chat: Conversation) -> Screen[object]:
    choices = DetailChoices("crop", (None, 1, 4), (1, 2, 3))
    return DetailScreen(chat.turns[0].pictures[0], choices)  # type: ignore[return-value]


MAKE: dict[type, Callable[..., object]] = {
    AttachScreen: lambda d, a, c, t: AttachScreen(
        d.folder,
        unreadable,  # type: ignore[arg-type]
        a._gallery,
        lambda _: strip(d, a, t),
    ),
    ChooseScreen: lambda d, a, c, t: ChooseScreen(t, [Content(plain(t))]),
    CompareScreen: lambda d, a, c, t: CompareScreen(c.turns[1], c.turns[1]),
    ConfirmScreen: lambda d, a, c, t: ConfirmScreen(t, [Content(plain(t))]),
    ConnectScreen: lambda d, a, c, t: ConnectScreen(d.engine),
    ContextScreen: lambda d, a, c, t: ContextScreen(
        d.engine, c.id, Draft(t, (picture_file(f"{t}.png"),)), system=t
    ),
    DetailScreen: lambda d, a, c, t: details(c),
    DoubtsScreen: lambda d, a, c, t: DoubtsScreen(
        [Token(3, t, 0.1, 0, (Other(4, t, 0.05), Other(5, "", 0.01))), Token(6, " b", 0.2, 1, ())]
    ),
    EditSettingScreen: lambda d, a, c, t: EditSettingScreen("model", t, [(t, t)]),
    EngineStateScreen: lambda d, a, c, t: EngineStateScreen(d.engine, lambda: t, c.turns),
    HelpScreen: lambda d, a, c, t: HelpScreen(LIST, {"chat.send": t}, {LIST: ()}),
    ModelsScreen: lambda d, a, c, t: ModelsScreen(d.engine, None, t),
    NoticesScreen: lambda d, a, c, t: NoticesScreen([Notice(plain(t), True, NOW)]),
    Palette: lambda d, a, c, t: Palette(),
    PasswordScreen: lambda d, a, c, t: PasswordScreen(t),
    PictureScreen: lambda d, a, c, t: PictureScreen(shown(c, t), 0, a._gallery),
    PicturesScreen: lambda d, a, c, t: PicturesScreen(d.engine, a._gallery, lambda: NOW, t),
    RenameScreen: lambda d, a, c, t: RenameScreen(t),
    SearchScreen: lambda d, a, c, t: SearchScreen(d.engine, lambda: NOW, t),
    SessionPalette: lambda d, a, c, t: SessionPalette(),
    SettingsScreen: lambda d, a, c, t: SettingsScreen(d.engine, c.id),
    SharedScreen: lambda d, a, c, t: SharedScreen(d.engine, a._gallery, lambda: NOW),
    StripScreen: lambda d, a, c, t: strip(d, a, t),
    WriteScreen: lambda d, a, c, t: WriteScreen("Title", t, "esc back"),
}
"""Makers of the pages; a heading of ours is a constant."""
WATCHED = (ConfirmScreen, EngineStateScreen, PictureScreen)
"""Pages that painted what they were given, which callers had cleaned."""
PAGES = [*WATCHED, *(page for page in MAKE if page not in WATCHED)]
BASES = {"EngineScreen", "GuardedScreen", "GuardedDialog", "ChoiceDialog"}


def test_every_page_is_here() -> None:
    found: set[type] = set()
    for module in pkgutil.iter_modules(tui.pages.__path__, "tui.pages."):
        for name, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(one, Screen) and one.__module__ == module.name and name not in BASES:
                found.add(one)
    assert found == set(MAKE)


def everything(desk: Desk, text: str) -> str:
    """Store a chat of which every field is hostile, with files of such names beside it."""
    said = f"{text}\n\n`{text}`\n\n|{text}|\n|-|\n|{text}|\n\n```{text}\n{text}\n"
    session = desk.chat(said, said, said, files=(picture_file(f"{text}.png"),))
    store, vocabulary = desk.store, desk.core.facts().chat.vocabulary
    ids = vocabulary.encode(text)
    question = store.conversation(session).turns[-1]
    reply = store.start_reply(session, question.id, model=text)
    store.finish_reply(
        reply.id, text=said, token_ids=ids, finish_reason=FinishReason.STOP, usage=None,
        timings=None, thought=Thought(text, 2.0),
    )  # fmt: skip
    store.set_summary(session, Summary(text, reply.id))
    store.rename(session, text)
    store.set_system(session, text)
    store.set_model(session, text)
    store.save_draft(session, Draft(text, (picture_file(f"{text}.png"),)))
    name = text.replace("/", "").replace("\0", "")[:60]
    for file in (desk.folder / f"{name}.png", desk.folder / f"{name}.d"):
        file.mkdir() if file.suffix == ".d" else file.write_bytes(b"")
    return session


async def check(desk: Desk, page: type, text: str, size: tuple[int, int]) -> None:
    session = everything(desk, text)
    desk.core.phase, desk.core.detail = Phase.FAILED, text
    app = desk.app(session)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, session)
        await until(pilot, lambda: composer(pilot).chips.files, "the draft")
        requests.notify(app.screen, text, error=True)
        await until(pilot, lambda: notices(pilot), "the notice")
        assert_plain(pilot, "the chat")
        chat = desk.store.conversation(session)
        opened_page = MAKE[page](desk, app, chat, text)
        app.push_screen(opened_page)  # type: ignore[call-overload]
        await until(pilot, lambda: app.screen is opened_page, "the page")
        assert_plain(pilot, page.__name__)
        for field in [*app.screen.query(TextArea), *app.screen.query(Input)]:
            field.focus()
            field.post_message(events.Paste(text))
            if isinstance(field, Input):
                field.value += text
            else:
                field.insert(text)
            await pilot.pause()
            assert_plain(pilot, f"a field of {page.__name__}")
        for key in ("tab", "down", "right", "enter", "f1", "escape"):
            await pilot.press(key)
            assert_plain(pilot, f"{page.__name__}, {key}")


@pytest.mark.parametrize("page", few_quick(PAGES, len(WATCHED)), ids=lambda page: page.__name__)
async def test_no_page_paints_or_edits_control_characters(desk: Desk, page: type) -> None:
    await check(desk, page, HOSTILE, (120, 50))


async def test_a_tab_in_a_prompt_is_painted_as_blanks(desk: Desk) -> None:
    """The terminal would move what stands behind it."""
    await check(desk, ContextScreen, KINDS["C0"], (120, 50))


@pytest.mark.long
@pytest.mark.parametrize("size", [(120, 50), (40, 12)], ids=["wide", "tiny"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", MAKE, ids=lambda page: page.__name__)
async def test_no_kind_of_escape_is_painted_or_edited(
    desk: Desk, page: type, kind: str, size: tuple[int, int]
) -> None:
    await check(desk, page, KINDS[kind], size)


COMMANDS = ["/picture 1", "/doubts", "/compare", "/recall a", "/recallall a", "/summary", "/system",
            "/schema", "/stopat", "/export", "/rename", "/context", "/undo", "/quote", "/copy",
            "/theme x", "/pin 1", "/delete", "/fork"]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
async def test_no_command_shows_control_characters(desk: Desk, command: str) -> None:
    session = everything(desk, HOSTILE)
    async with desk.app(session).run_test(size=(120, 50)) as pilot:
        await opened(pilot, session)
        await until(pilot, lambda: composer(pilot).chips.files, "the draft")
        composer(pilot).area.set_text("")
        await send(pilot, command)
        await look_around(pilot, command)


async def look_around(pilot: Pilot[None], where: str) -> None:
    assert_plain(pilot, where)
    for key in ("tab", "down", "right", "enter", "up", "escape"):
        await pilot.press(key)
        assert_plain(pilot, f"{where}, {key}")
