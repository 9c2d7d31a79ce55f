"""Contrast of every text against its ground, computed over themes, pages and states of widgets.

For 16 million colours, and for the 256 to which tui.terminal.colours reduces them, WCAG 2.2, 1.4.3
asks for 4.5:1. The terminal's own sixteen colours can't be computed: the theme phichat-ansi draws
text in them on the terminal's ground and on nothing else.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, strategies as st
from rich.cells import cell_len
from rich.color import Color, ColorType
from rich.style import Style
from textual.pilot import Pilot
from textual.theme import Theme
from textual.widgets import OptionList

from assistant.values.conversation import FinishReason
from assistant.values.errors import ModelError
from tests.tiers import few_quick
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    Desk,
    area,
    composer,
    idle,
    opened,
    picture_file,
    screen,
    sees,
    select_turn,
    send,
    threads_ended,
    until,
)
from tests.tui.quiet import settle
from tui.terminal.colours import reduced
from tui.terminal.detect import Colours, Graphics
from tui.themes import ANSI, ANSI_LIGHT, CONTRAST, INK, PAPER, THEMES
from tui.widgets.chip import Chip
from tui.widgets.session_list import SessionList

LEAST = 4.5
SIZE = (110, 40)
MIXED = (
    "# Title\n\nSome *words*, **bold**, `code` and a [link](http://a.example).\n\n## More\n\n"
    "### Less\n\n> quoted\n\n- one\n- two\n\n1. first\n\n```python\ndef area(r: float) -> float:\n"
    '    """Return it."""\n    return 3 * r**2  # about\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n'
)


def luminance(red: float, green: float, blue: float) -> float:
    parts = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    return sum(part * share for part, share in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: Color, other: Color) -> float:
    lights = sorted(
        luminance(*(part / 255 for part in colour.get_truecolor())) for colour in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def is_text(text: str) -> bool:
    """Leave out blanks, frames, bars and pictures of half blocks."""
    return any(unicodedata.category(one)[0] in "LNP" for one in text if one not in "·…—–")


def weak(pilot: Pilot[None]) -> dict[tuple[str, str], tuple[float, str]]:
    """Return pairs of colours on the screen that are too close, with what is written in them."""
    found: dict[tuple[str, str], tuple[float, str]] = {}
    own = [child.region for child in pilot.app.screen.children]  # what is below is dimmed
    for y, strip in enumerate(pilot.app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            x, begin = x + cell_len(text), x
            if style is None or style.color is None or style.bgcolor is None or not is_text(text):
                continue
            if not any(region.contains(begin, y) for region in own):
                continue
            for shown in (style, reduced(style)):
                assert shown.color
                assert shown.bgcolor
                ratio = contrast(shown.color, shown.bgcolor)
                if ratio < LEAST:
                    names = (shown.color.get_truecolor().hex, shown.bgcolor.get_truecolor().hex)
                    found.setdefault(names, (round(ratio, 2), text.strip()))
    return found


async def in_all_themes(pilot: Pilot[None], where: str) -> None:
    """Look at this screen in every theme whose colours can be computed."""
    before, problems = pilot.app.theme, []
    for theme in pilot.app.available_themes.values():
        if theme.ansi:
            continue
        pilot.app.theme = theme.name
        await pilot.pause()
        await settle(pilot.app)
        problems += [f"{theme.name}, {where}: {pair} {what}" for pair, what in weak(pilot).items()]
    pilot.app.theme = before
    if problems:
        pytest.fail("\n".join(problems))


def test_only_themes_that_are_computed_are_offered(desk: Desk) -> None:
    assert set(desk.app().available_themes) == {theme.name for theme in THEMES}
    colours = (ANSI.primary, ANSI.foreground, ANSI.background, *ANSI.variables.values())
    assert not [colour for colour in colours if str(colour).startswith("#")]


@pytest.mark.parametrize("theme", [ANSI, ANSI_LIGHT])
def test_a_chosen_row_is_seen_in_sixteen_colours(theme: Theme) -> None:
    """Textual draws the reverse of the terminal's default colours as these."""
    for kind in ("block-cursor", "block-cursor-blurred", "input-cursor", "input-selection"):
        ground, text = (theme.variables[f"{kind}-{part}"] for part in ("background", "foreground"))
        assert "ansi_default" not in (ground, text)
        assert ground != text


@pytest.mark.parametrize("theme", [INK, PAPER, CONTRAST], ids=lambda theme: theme.name)
def test_grounds_stay_neutral_and_apart_in_256_colours(theme: Theme) -> None:
    """Rich's own reduction makes phichat-paper's pale yellow and pink."""
    grounds = [
        shown.bgcolor.get_truecolor()
        for name in (theme.background, theme.surface, theme.panel)
        if (shown := reduced(Style(bgcolor=name))).bgcolor
    ]
    assert all(red == green == blue for red, green, blue in grounds)
    assert len(set(grounds)) == len({theme.background, theme.surface, theme.panel})


@given(st.tuples(*[st.integers(0, 255)] * 3))
@example((36, 48, 117))  # a grey is nearer than the cube, and 49 off in blue
def test_a_colour_of_the_palette_is_kept_and_any_other_is_near(parts: tuple[int, int, int]) -> None:
    exact = Color.from_ansi(16 + sum(parts) % 240)
    kept = reduced(Style(color=Color.from_triplet(exact.get_truecolor()))).color
    assert kept
    assert kept.get_truecolor() == exact.get_truecolor()
    found = reduced(Style(color=Color.from_rgb(*parts))).color
    assert found
    far = sum((a - b) ** 2 for a, b in zip(found.get_truecolor(), parts, strict=True))
    assert far <= 3 * 48**2  # half of the cube's widest step, from black to its first, thrice


async def test_an_app_with_256_colours_writes_those_of_the_palette(desk: Desk) -> None:
    graphics = Graphics(colours=Colours.PALETTE, is_light=True)
    async with desk.app(graphics=graphics).run_test(size=SIZE) as pilot:
        await settle(pilot.app)
        styles = {
            style
            for strip in pilot.app.screen._compositor.render_strips()
            for _, style, _ in strip
            if style
        }
        colours = {colour for style in styles for colour in (style.color, style.bgcolor) if colour}
        assert {colour.type for colour in colours} == {ColorType.EIGHT_BIT}
        assert Color.from_ansi(255) in colours  # phichat-paper's ground


async def test_an_app_with_16_colours_takes_the_terminal_s_own(desk: Desk) -> None:
    graphics = Graphics(colours=Colours.NAMED, is_light=True)
    app = desk.app(graphics=graphics)
    assert set(app.available_themes) == {ANSI.name}
    assert app.theme == ANSI.name
    assert app.current_theme.primary == "ansi_blue"  # yellow can't be read on white


def stock(desk: Desk) -> str:
    """A chat with every kind of block, mark and ending."""
    desk.chat("Old", "one", title="Old chat")
    session = desk.chat("See #1", MIXED, "And?", "Half", files=(picture_file("a.png"),))
    turns = desk.engine.store.conversation(session).turns
    desk.engine.store.set_turn_pinned(turns[0].id, True)
    desk.engine.store.set_turn_excluded(turns[2].id, True)
    desk.reply(session, turns[2], "Half of it", FinishReason.STOPPED)
    return session


@pytest.mark.slow
async def test_the_chat_in_every_state(desk: Desk) -> None:
    session = stock(desk)
    desk.say("Half of an", ModelError("The model ran out of memory."))
    async with desk.app(session).run_test(size=SIZE) as pilot:
        await opened(pilot, session)
        await in_all_themes(pilot, "the end of a chat")
        await pilot.press("pageup")
        await in_all_themes(pilot, "a chat")
        await select_turn(pilot)
        await in_all_themes(pilot, "a selected turn")
        await pilot.press("up", "up")
        await in_all_themes(pilot, "a selected message")
        await pilot.press("escape")
        await composer(pilot).chips.put_first(picture_file("cat.png"), picture_file("dog.png"))
        composer(pilot).query_one(Chip).focus()
        await in_all_themes(pilot, "a chip")
        area(pilot).focus()
        area(pilot).insert("What is #1?")
        area(pilot).select_all()
        await in_all_themes(pilot, "selected words")
        screen(pilot).text_select_all()
        await in_all_themes(pilot, "words that the mouse selected")
        screen(pilot).clear_selection()
        screen(pilot).query_one(SessionList).focus()
        await in_all_themes(pilot, "the list")
        screen(pilot).query_one(SessionList).hovered = 1
        await in_all_themes(pilot, "the list below the mouse")
        await pilot.press("ctrl+l")
        screen(pilot).tell("Something happened.")
        screen(pilot).tell("Something failed.", error=True)
        await in_all_themes(pilot, "notices and the meter")
        area(pilot).clear()
        await send(pilot, "And now?")
        await idle(pilot)
        await in_all_themes(pilot, "a failed reply")


async def test_the_empty_chat(make_desk: MakeDesk) -> None:
    desk = make_desk(is_demo=True)
    desk.engine.model.settings.config_file.unlink()
    async with desk.app().run_test(size=SIZE) as pilot:
        await sees(pilot, "Get Phi-3.5")
        await in_all_themes(pilot, "the empty chat")
        await pilot.press("up")
        await in_all_themes(pilot, "a choice")
        await pilot.press("escape", *"/pin")
        await sees(pilot, "/pinchat")
        await in_all_themes(pilot, "commands")


PAGES = ("f1", "f2", "f3", "f4", "f5", "f6", "f8", "f9", "f12", "ctrl+f", "ctrl+o", "ctrl+p")


@pytest.mark.parametrize("key", few_quick(PAGES, 3))
async def test_every_page(desk: Desk, key: str) -> None:
    session = stock(desk)
    async with desk.app(session).run_test(size=SIZE) as pilot:
        await opened(pilot, session)
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.screen is not screen(pilot), "the page")
        await threads_ended(pilot)
        await in_all_themes(pilot, key)
        if key == "ctrl+f":
            await pilot.press(*"half")
            await sees(pilot, "place")
        await pilot.press("down")
        await in_all_themes(pilot, f"{key}, further down")
        if key in ("f8", "f9"):
            await pilot.press("enter")
            await in_all_themes(pilot, f"{key}, a question")


async def test_the_ground_of_a_list_is_not_that_of_its_marked_row(desk: Desk) -> None:
    """Among 256 colours the tint of a focused list made them one."""
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("f8")
        await sees(pilot, "fits here")
        models = pilot.app.screen.query_one(OptionList)
        assert models.has_focus
        assert models.background_colors[1] == models.styles.background
