"""Windows of a few rows and columns: what was asked for is in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.core.memory import places
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import cpu_place
from tests.tiers import few_quick
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
