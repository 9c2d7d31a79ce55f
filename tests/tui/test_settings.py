"""The settings screen, from the one schema: comments are kept, a chat has values of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from assistant.settings.file import write_template
from assistant.settings.load import load as load_settings
from assistant.settings.schema import SETTABLE
from assistant.values.sampling import Parameters
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    idle,
    notices,
    open_page,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.app import PhichatApp
from tui.pages.edit_setting import EditSettingScreen
from tui.pages.help import HelpScreen
from tui.pages.settings import PER_CHAT, SettingsScreen
from tui.pages.system_presets import BUILT_IN
from tui.themes import ANSI, CONTRAST, THEMES


def page(pilot: Pilot[None]) -> SettingsScreen:
    found = pilot.app.screen
    assert isinstance(found, SettingsScreen)
    return found


async def opened(pilot: Pilot[None]) -> OptionList:
    await pilot.press("f9")
    await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen), "the settings")
    options = page(pilot).query_one(OptionList)
    await until(pilot, lambda: options.option_count > 5, "the rows")
    return options


async def mark(pilot: Pilot[None], name: str) -> None:
    options = page(pilot).query_one(OptionList)
    options.highlighted = options.get_option_index(name)
    await pilot.pause()


async def edit(pilot: Pilot[None], name: str, text: str) -> None:
    """Mark a setting, type a value and take it."""
    await mark(pilot, name)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, EditSettingScreen), "the question")
    field = pilot.app.screen.query_one(Input)
    field.focus()
    field.value = text
    await pilot.press("enter")


def config(desk: Desk) -> dict[str, object]:
    return tomllib.loads(desk.engine.model.settings.config_file.read_text(encoding="utf-8"))


async def test_every_setting_of_the_schema_is_there_with_its_meaning_and_limits(
    desk: Desk,
) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        options = await opened(pilot)
        ids = {one.id for one in options._options}
        assert set(SETTABLE) <= ids
        text = shown(pilot)
        for name in SETTABLE:
            assert SETTABLE[name].group in text
        await mark(pilot, "top_p")
        await sees(pilot, SETTABLE["top_p"].description)
        assert "a number above 0, up to 1" in shown(pilot)
        assert "takes effect now" in shown(pilot)
        await mark(pilot, "weights")
        await sees(pilot, "needs the engine to start again")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "help")
        assert "Here: settings" in shown(pilot)
        await pilot.press("escape", "escape")
        assert pilot.app.screen is screen(pilot)


async def test_a_change_is_written_beside_the_comments_and_used_now(desk: Desk) -> None:
    file = desk.engine.model.settings.config_file
    file.unlink()
    write_template(file)
    comments = [line for line in file.read_text().splitlines() if line.startswith("# Only")]
    async with desk.app(desk.chat("Hi", "Hello.")).run_test(size=NARROW) as pilot:
        await opened(pilot)
        await edit(pilot, "temperature", "0.7")
        await until(
            pilot, lambda: desk.engine.model.settings.value("temperature") == 0.7, "it is in force"
        )
        assert config(desk) == {"temperature": 0.7}
        after = file.read_text().splitlines()
        assert [line for line in after if line.startswith("# Only")] == comments
        await edit(pilot, "temperature", "hot")
        await sees(pilot, "temperature must be a number from 0 to 10")
        assert isinstance(pilot.app.screen, EditSettingScreen)
        await pilot.press("escape")
        await mark(pilot, "temperature")
        await pilot.press("delete")
        await until(
            pilot, lambda: desk.engine.model.settings.value("temperature") == 0, "the default"
        )
        assert config(desk) == {}


async def test_what_needs_the_engine_to_start_again_is_said_and_offered(desk: Desk) -> None:
    restarted = []
    desk.engine.model.restart = restarted.append  # type: ignore[method-assign]
    async with desk.app().run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("r")
        assert notices(pilot)[-1].startswith("Nothing was changed")
        await mark(pilot, "kv")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditSettingScreen), "choices")
        await pilot.press("down", "down", "enter")
        await sees(pilot, "r starts the engine again for: kv")
        assert config(desk) == {"kv": "int8"}
        assert desk.engine.model.settings.kv == "auto"
        await pilot.press("r")
        await until(pilot, lambda: bool(restarted), "the restart")
        assert restarted[0].kv == "int8"


async def test_what_commands_set_in_a_chat_is_said(desk: Desk) -> None:
    session = desk.chat("Hi", "Hello.", title="Mine")
    schema = '{"type":"object"}'
    desk.store.set_parameters(session, Parameters(stop=("END",), schema=schema))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello.")
        await opened(pilot)
        assert "END" not in shown(pilot)
        await pilot.press("tab")
        await sees(pilot, f"and stop END; schema {schema}")


@pytest.mark.slow
async def test_a_chat_has_values_of_its_own(desk: Desk) -> None:
    session = desk.chat("Hi", "Hello.", title="Mine")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello.")
        options = await opened(pilot)
        await pilot.press("tab")
        await sees(pilot, "▸ This chat: Mine")
        assert {one.id for one in options._options if one.id} == set(PER_CHAT)
        await edit(pilot, "max_new_tokens", "77")
        await sees(pilot, "of this chat")
        parameters = desk.engine.store.conversation(session).parameters
        assert parameters == Parameters(max_new_tokens=77)
        await mark(pilot, "system")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditSettingScreen), "presets")
        assert all(name in shown(pilot) for name in BUILT_IN)
        await pilot.press("home", "enter")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).system == next(iter(BUILT_IN.values())),
            "the system prompt",
        )
        assert config(desk) == {}
        await mark(pilot, "max_new_tokens")
        await pilot.press("delete")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).parameters == Parameters(),
            "as in all chats",
        )
        await pilot.press("escape")
        await send(pilot, "And now?")
        await idle(pilot)
        assert desk.core.prompts[-1].tokens > desk.engine.prompts.context(None).used


@pytest.mark.slow
async def test_own_presets_are_kept_and_offered(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await opened(pilot)
        await edit(pilot, "presets", "Pirate = Answer like a pirate.")
        await until(pilot, lambda: "presets" in config(desk), "the preset")
        assert config(desk) == {"presets": {"Pirate": "Answer like a pirate."}}
        await mark(pilot, "system")
        await pilot.press("enter")
        await sees(pilot, "Pirate")
        await pilot.press("home", "enter")
        await until(
            pilot, lambda: desk.engine.model.settings.system == "Answer like a pirate.", "chosen"
        )
        await edit(pilot, "presets", "Pirate =")
        await until(pilot, lambda: config(desk).get("presets") == {}, "taken out")


async def test_a_theme_is_used_at_once_and_at_the_next_start(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await opened(pilot)
        await edit(pilot, "theme", CONTRAST.name)
        await until(pilot, lambda: pilot.app.theme == CONTRAST.name, "the theme")
    app = desk.app()
    async with app.run_test(size=NARROW):
        assert app.theme == CONTRAST.name


@pytest.mark.slow
async def test_a_theme_of_the_palette_is_kept_like_one_of_the_settings(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await open_page(pilot, "ctrl+p", *"theme", "enter")
        await sees(pilot, "Search for themes")
        await pilot.press(*CONTRAST.name, "enter")
        await until(pilot, lambda: pilot.app.theme == CONTRAST.name, "the theme")
        file = desk.engine.model.settings.config_file
        await until(pilot, lambda: CONTRAST.name in file.read_text(), "it is written")
    assert desk.engine.model.settings.theme == CONTRAST.name


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_the_app_stands_in_every_theme(desk: Desk, theme: object) -> None:
    async with desk.app(desk.chat("Hi", "Hello.")).run_test(size=NARROW) as pilot:
        pilot.app.theme = theme.name  # type: ignore[attr-defined]
        await sees(pilot, "Hello.")
        await pilot.press("f9")
        await sees(pilot, "Settings")


def test_high_contrast_is_what_its_name_says() -> None:
    """WCAG 2.2, 1.4.6: 7:1 at least."""

    def luminance(color: Color) -> float:
        parts = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    ground = luminance(Color.parse(str(CONTRAST.panel)))
    colours = [CONTRAST.foreground, CONTRAST.primary, CONTRAST.secondary, CONTRAST.success]
    colours += [CONTRAST.warning, CONTRAST.error]
    colours += [CONTRAST.variables["phi-quiet"], CONTRAST.variables["phi-faint"]]
    for colour in colours:
        ratio = (luminance(Color.parse(str(colour))) + 0.05) / (ground + 0.05)
        assert ratio >= 7, (colour, ratio)
    assert all(
        str(value).startswith("ansi_")
        for value in (ANSI.primary, ANSI.background, *ANSI.variables.values())
        if value not in ("bold", "none", "bold reverse")
    )


async def test_keys_can_be_bound_otherwise_in_the_configuration_file(desk: Desk) -> None:
    keys = {"show_settings": "f7", "help": "f10"}
    desk.engine.model.settings = desk.engine.model.settings.changed(keys=keys)
    app = PhichatApp(desk.engine, desk.engine.model.settings)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "help")
        assert "Here: while typing" in shown(pilot)
        await pilot.press("escape")
        area(pilot).blur()
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen), "the settings")


async def test_names_in_the_file_that_the_app_does_not_know_are_said_once(desk: Desk) -> None:
    wrong = desk.engine.model.settings.changed(theme="nonsense", keys={"anwser_again": "f10"})
    desk.engine.model.settings = wrong
    app = PhichatApp(desk.engine, wrong)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: len(notices(pilot)) == 2, "both")
        assert notices(pilot)[0].startswith('theme must be "auto", "phichat-ink"')
        assert notices(pilot)[1].startswith('keys names no action "anwser_again"')


@pytest.mark.slow
async def test_keys_are_bound_otherwise_in_the_app_by_the_names_that_it_lists(desk: Desk) -> None:
    file = desk.engine.model.settings.config_file
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("f9")
        await sees(pilot, "keep_alive")
        await pilot.press("end", "enter")
        await sees(pilot, "answer_again = ctrl+r")
        await pilot.press("end", "tab", *"no_such_thing = f7", "enter")
        await until(pilot, lambda: "There is no action" in " ".join(notices(pilot)), "a word")
        assert "no_such_thing" not in file.read_text()
        await pilot.press("enter")
        await sees(pilot, "answer_again = ctrl+r")
        await pilot.press("tab", *"answer_again = f10", "enter")
        await until(pilot, lambda: "answer_again" in file.read_text(), "it is written")
    async with PhichatApp(desk.engine, load_settings()).run_test(size=WIDE) as pilot:
        await pilot.press("f10")
        await until(pilot, lambda: "no question to answer" in " ".join(notices(pilot)), "the key")


def test_the_screens_hold_no_second_list_of_settings() -> None:
    """The names of settings stand in the schema; the screen names those that are special only."""
    text = Path("tui/pages/settings.py").read_text(encoding="utf-8")
    named = {name for name in SETTABLE if f'"{name}"' in text}
    assert named <= {"model", "system", "theme", "keys"}


async def test_an_option_of_the_command_line_is_no_default(desk: Desk) -> None:
    desk.engine.model.settings = desk.engine.model.settings.changed(temperature=0.7)
    async with desk.app().run_test(size=WIDE) as pilot:
        options = await opened(pilot)
        row = str(options.get_option("temperature").prompt)
        assert "0.7" in row
        assert "of this start" in row
        assert "of this start" not in str(options.get_option("top_p").prompt)
