"""Menu of what can be typed: commands by name, alias and likeness, and files after @."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    png,
    screen,
    sees,
    send,
    shown,
    type_text,
    until,
)
from tui.chat.screen import ChatScreen
from tui.pages.choose import ChooseScreen
from tui.pages.help import HelpScreen
from tui.pages.models import ModelsScreen
from tui.pages.settings import SettingsScreen
from tui.slashes import (
    SLASHES,
    find_slash,
    matching_slashes,
    similar_slash,
    slash_without_slash,
)
from tui.widgets.completion_menu import CompletionMenu

SIZES = pytest.mark.parametrize(
    "size",
    [
        pytest.param(NARROW, id="narrow"),
        pytest.param((200, 50), id="wide", marks=pytest.mark.slow),
    ],
)


def menu(pilot: Pilot[None]) -> CompletionMenu:
    return screen(pilot).query_one(CompletionMenu)


def names(pilot: Pilot[None]) -> list[str]:
    return [file.name for file in composer(pilot).chips.files]


async def closed(pilot: Pilot[None]) -> None:
    """Close the page that stands over the chat."""
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen), "the chat")


@SIZES
async def test_the_arrows_reach_every_command(desk: Desk, size: tuple[int, int]) -> None:
    async with desk.app().run_test(size=size) as pilot:
        await pilot.press("/")
        seen = set()
        for _ in SLASHES:
            chosen = menu(pilot).chosen.command
            assert chosen is not None
            assert chosen.name in shown(pilot), "the highlighted row is in sight"
            seen.add(chosen.name)
            await pilot.press("down")
        assert seen == {slash.name for slash in SLASHES}
        await pilot.press("up")
        assert menu(pilot).chosen.command == SLASHES[-1]
        assert screen(pilot).focused is area(pilot)
        assert composer(pilot).region.bottom <= size[1]


async def test_enter_runs_the_highlighted_command(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press(*"/sett", "enter")  # the only one
        await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen), "settings")
        await closed(pilot)
        assert area(pilot).text == ""
        await pilot.press(*"/ren", "enter")  # it asks for the title
        await until(pilot, lambda: notices(pilot), "that there is nothing to rename")
        await pilot.press(*"/mo", "down", "up", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModelsScreen), "models")


@pytest.mark.slow
async def test_enter_only_completes_what_takes_words_or_takes_away(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        for typed, name in (("/exp", "/export"), ("/del", "/delete"), ("/recalla", "/recallall")):
            area(pilot).set_text(typed)
            await pilot.press("enter")
            assert area(pilot).text == f"{name} "
        area(pilot).set_text("/delete")
        await pilot.press("enter")
        await until(pilot, lambda: not desk.engine.store.sessions(), "it is deleted")


@pytest.mark.slow
async def test_tab_takes_the_highlighted_row_and_escape_closes_it(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press(*"/pi", "down", "down", "tab")
        assert area(pilot).text == "/pinchat "
        area(pilot).set_text("/pi")
        await pilot.press("escape")
        assert not menu(pilot).is_open
        assert area(pilot).text == "/pi"
        await pilot.press("n")  # another text: it opens again
        assert menu(pilot).is_open
        assert menu(pilot).chosen.command == find_slash("/pin")
        await pilot.click(menu(pilot), offset=(4, 1))
        await until(pilot, lambda: "no message yet" in "".join(notices(pilot)), "/pinchat ran")


@pytest.mark.slow
async def test_a_single_match_runs_with_its_words(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        await send(pilot, "/ren Greetings")
        await sees(pilot, "Greetings")
        await send(pilot, "/re Greetings")
        await until(pilot, lambda: notices(pilot), "a word")
        assert "these begin so: /region, /rename, /retry, /recall" in notices(pilot)[0]
        assert area(pilot).text == "/re Greetings"


@pytest.mark.parametrize(
    ("typed", "name"),
    [("/exit", "/quit"), ("/clear", "/new"), ("/MODEL", "/models"), ("/?", "/help")],
)
def test_aliases(typed: str, name: str) -> None:
    assert getattr(find_slash(typed), "name", "") == name
    assert matching_slashes(typed)[0].name == name


def test_each_name_and_alias_is_one_commands() -> None:
    known = [name for slash in SLASHES for name in (slash.name, *slash.aliases)]
    assert len(known) == len(set(known))
    for slash in SLASHES:
        assert matching_slashes(slash.name)[0] == slash


@pytest.mark.parametrize(
    ("typed", "name"),
    [("/atach", "/attach"), ("/serach", "/search"), ("/modles", "/models"), ("/qwert", None)],
)
def test_the_most_similar_command(typed: str, name: str | None) -> None:
    assert getattr(similar_slash(typed), "name", None) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("exit", "/quit"),
        (" Quit ", "/quit"),
        (":q", "/quit"),
        ("clear", "/new"),
        ("view", None),
        ("quit it", None),
        ("", None),
        ("/quit", None),
    ],
)
def test_a_word_that_is_a_command_without_its_slash(text: str, name: str | None) -> None:
    assert getattr(slash_without_slash(text), "name", None) == name


@pytest.mark.slow
async def test_such_a_word_asks(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "help")
        await sees(pilot, "Is “help” a command?")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "help")
        await closed(pilot)
        await send(pilot, "exit")
        await sees(pilot, "Is “exit” a command?")
        await pilot.press("escape")
        await until(pilot, lambda: area(pilot).text == "exit", "it is back")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooseScreen), "the question")
        await pilot.press("down", "enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert (
        desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns[0].text == "exit"
    )


@pytest.mark.slow
async def test_a_theme_by_name_or_from_the_list(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "/theme phichat-paper")
        await until(pilot, lambda: pilot.app.theme == "phichat-paper", "the theme")
        await send(pilot, "/themes")
        await until(pilot, lambda: pilot.app.screen is not screen(pilot), "the list")


# Files


@pytest.fixture
def folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("beach.JPG", "my cat.png", "chart.png"):
        desk.file(name)
    desk.file("notes.txt", b"no picture")
    (desk.folder / "older ones").mkdir()
    (desk.folder / "older ones" / "tree.webp").write_bytes(png())
    monkeypatch.chdir(desk.folder)
    return desk.folder


async def test_an_at_sign_offers_pictures_anywhere_in_the_text(desk: Desk, folder: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await type_text(pilot, "first line\nand what is @ca")
        await sees(pilot, "my cat.png")
        assert "beach.JPG" not in shown(pilot)
        assert "notes.txt" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: names(pilot) == ["my cat.png"], "the chip")
        assert area(pilot).text == "first line\nand what is my cat.png "
        await type_text(pilot, "and @old")
        await sees(pilot, "older ones/")
        await pilot.press("tab")
        assert area(pilot).text.endswith("and @older\\ ones/")
        await sees(pilot, "tree.webp")
        await pilot.press("tab")
        await until(pilot, lambda: names(pilot) == ["my cat.png", "tree.webp"], "both")
        assert area(pilot).text.endswith("and tree.webp ")
    assert desk.engine.store.sessions() == []


async def test_an_at_sign_in_an_address_or_without_a_file_is_text(desk: Desk, folder: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await type_text(pilot, "write to me@cat")
        assert not menu(pilot).is_open
        area(pilot).set_text("thanks @nobody")
        await pilot.pause()
        assert not menu(pilot).is_open
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_a_path_in_a_sentence_is_offered(desk: Desk, folder: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        for text in (
            "What is in 'my cat.png'?",
            "What is in my\\ cat.png?",
            f'Look ("{folder}/my cat.png"), please',
            "@my\\ cat.png",
            f"Is {folder}/my\\ cat.png one?",
        ):
            await type_text(pilot, f"{text} ")
            await sees(pilot, "my cat.png · tab attaches it")
            await pilot.press("tab")
            await until(pilot, lambda: names(pilot) == ["my cat.png"], f"the chip of {text}")
            assert "my cat.png" in area(pilot).text
            assert str(folder) not in area(pilot).text
            await until(pilot, lambda: "attaches it" not in shown(pilot), "it is done")
            await composer(pilot).empty_at_once()


async def test_it_is_never_sent_as_words_unasked(desk: Desk, folder: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"What is in {folder}/beach.JPG and in chart.png?")
        await sees(pilot, "The message names 2 pictures")
        await pilot.press("escape")
        await until(pilot, lambda: "chart.png?" in area(pilot).text, "the text is back")
        await pilot.press("enter")
        await sees(pilot, "The message names 2 pictures")
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
        await send(pilot, "And chart.png?")
        await sees(pilot, "The message names chart.png")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(desk.core.prompts) == 2, "sent")
        await idle(pilot)
    turns = desk.engine.store.conversation(desk.engine.store.sessions()[0].id).turns
    assert turns[0].text == "What is in beach.JPG and in chart.png?"
    assert [picture.name for picture in turns[0].pictures] == ["beach.JPG", "chart.png"]
    assert turns[2].text == "And chart.png?"
    assert not turns[2].pictures


async def test_a_named_picture_that_is_broken_keeps_the_message(desk: Desk, folder: Path) -> None:
    desk.file("cut.png", png(size=(300, 300))[:200])
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is in cut.png?")
        await sees(pilot, "The message names cut.png")
        await pilot.press("enter")
        await until(pilot, lambda: notices(pilot), "the refusal")
        assert area(pilot).text == "What is in cut.png?"
    assert desk.engine.store.sessions() == []


@SIZES
@pytest.mark.parametrize("typed", ["/re", "what is in @"], ids=["commands", "files"])
def test_the_menu_looks(
    desk: Desk, folder: Path, snap_compare: Any, size: tuple[int, int], typed: str
) -> None:
    async def scene(pilot: Pilot[None]) -> None:
        await type_text(pilot, typed)
        await pilot.press("down")
        await until(pilot, lambda: menu(pilot).is_open, "the menu")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)
