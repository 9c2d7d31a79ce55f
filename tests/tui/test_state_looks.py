"""SVG snapshots of the pages (update: pytest tests/tui --snapshot-update)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from assistant.values.events import ModelStatus, Phase
from tests.tui.conftest import MakeDesk
from tests.tui.desk import NARROW, WIDE, Desk, picture_file, png, sees, type_text
from tui.themes import ANSI, CONTRAST, PAPER

Scene = Callable[[Pilot[None]], Awaitable[None]]
BOTH = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])


@BOTH
def test_what_the_model_sees(make_desk: MakeDesk, snap_compare: Any, size: tuple[int, int]) -> None:
    desk = make_desk(context=3000)
    lines = ("Which bird is this? " * 10, "A robin.", "And this one? " * 20, "A wren.") * 4
    session = desk.chat(
        *lines, files=(picture_file("bird.png", png("teal", (640, 480))),), title="Birds"
    )

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "6 left out")
        await type_text(pilot, "Are they related?")
        await pilot.press("f4")
        await sees(pilot, "in slot 1")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


@BOTH
def test_the_settings(
    desk: Desk, snap_compare: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PHICHAT_KEEP_ALIVE")
    settings = desk.engine.model.settings.changed(keep_alive=300)
    desk.engine.model.settings = settings

    async def scene(pilot: Pilot[None]) -> None:
        await pilot.press("f9")
        await sees(pilot, "temperature")
        await pilot.press("down", "down")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@BOTH
def test_the_engine(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    plan = {
        "title": "A small CPU",
        "sentences": (
            "The weights are held in int8: 4.4 GB.",
            "Float KV holds 3,072 tokens here; int8 KV was chosen, which holds 12,288.",
        ),
        "weights_bytes": 4_400_000_000,
        "kv_bytes_per_token": 196_608,
    }
    status = ModelStatus(Phase.LOADING, "x/Phi-3-vision", False, "Reading weights", 33, 83, plan)
    desk.core.status = lambda: status  # type: ignore[method-assign]

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "Reading weights")
        await pilot.press("f5")
        await sees(pilot, "int8 KV was chosen")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@pytest.mark.parametrize("theme", [CONTRAST, ANSI, PAPER], ids=lambda theme: theme.name)
def test_the_themes(desk: Desk, snap_compare: Any, theme: Any) -> None:
    session = desk.chat("Hi", "**Hello**, and `code`.", "And?", "Fine.")

    async def scene(pilot: Pilot[None]) -> None:
        pilot.app.theme = theme.name
        await sees(pilot, "Fine.")

    assert snap_compare(desk.app(session), terminal_size=NARROW, run_before=scene)
