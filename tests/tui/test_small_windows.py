"""Windows of a few rows and columns: what was asked for is in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from assistant.core.memory import places
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import cpu_place
from tests.tiers import few_quick
from tests.tui.conftest import MakeDesk
from tests.tui.desk import Desk, area, composer, picture_file, png, sees, shown, until
from tui.widgets.chip import Chip

TINY = (24, 8)
FILES = tuple(picture_file(f"{name}.png", png(name, (64, 64))) for name in ("red", "teal", "blue"))


async def test_the_text_stays_in_sight_below_attached_pictures(desk: Desk) -> None:
    async with desk.app().run_test(size=TINY) as pilot:
        await composer(pilot).chips.put_first(*FILES)
        await until(pilot, lambda: len(composer(pilot).query(Chip)) == len(FILES), "the pictures")
        area(pilot).insert("What?")
        await sees(pilot, "What?")
        assert "red.png" in shown(pilot)


@pytest.mark.parametrize(
    ("key", "words"),
    few_quick(
        [
            ("f1", "Send"),
            ("f3", "▀▀▀▀"),
            ("f6", "Red things"),
            ("f8", "fits here"),
            ("f9", "model demo"),
            ("f10", "red.png"),
            ("ctrl+o", "../"),
            ("ctrl+b", "Red things"),
            ("ctrl+p", "Search"),
        ],
        3,
    ),
)
async def test_every_page_shows_what_it_is_for(
    desk: Desk, key: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cpu_place(detect_hardware())
    roomy = replace(place, available=1 << 36)  # whatever else runs here
    monkeypatch.setattr(places, "cpu_place", lambda hardware: roomy)
    session = desk.chat("See", "Yes.", files=FILES[:1])
    desk.store.rename(session, "Red things")
    async with desk.app(session).run_test(size=TINY) as pilot:
        await sees(pilot, "Yes.")
        await pilot.press(key)
        await sees(pilot, words)


def columns(pilot: Pilot[None], *words: str) -> set[int]:
    """Return the columns in which these words begin."""
    rows = shown(pilot).splitlines()
    return {next(row.index(one) for row in rows if one in row) for one in words}


async def test_lines_that_break_keep_their_indent(make_desk: MakeDesk) -> None:
    desk = make_desk(is_demo=True)
    desk.engine.model.settings.config_file.unlink()  # a new user is offered models
    async with desk.app().run_test(size=(44, 42)) as pilot:
        await sees(pilot, "it knows")
        assert columns(pilot, "on this window", "a question", "a URL") == {15}
        assert columns(pilot, "only coloured shapes") == {5}
        await pilot.press("f8")
        await sees(pilot, "your words")
        assert columns(pilot, "vLLM", "pictures go there") == {5}
        await pilot.press("escape", "f1")
        await pilot.resize_terminal(38, 42)
        await sees(pilot, "New line;")
        assert columns(pilot, "New line;", "alt+enter where") == {4}
