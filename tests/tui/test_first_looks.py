"""SVG snapshots of what is seen first, in a small and a large window, dark and light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from assistant.core.memory.hardware import Cpu, Hardware, Memory
from assistant.core.memory.places import cpu_place
from assistant.core.memory.speed_estimate import Speed
from assistant.engine.model import Model
from assistant.models.catalogue import FoundModel, find_models
from tests.tui.conftest import MakeDesk
from tests.tui.desk import Desk, picture_file, png, screen, sees, until
from tui.themes import INK, PAPER
from tui.widgets.drawing import Drawing

SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["small", "large"])
LIGHTS = pytest.mark.parametrize("theme", [INK, PAPER], ids=["dark", "light"])


@SIZES
@LIGHTS
def test_the_first_screen(
    make_desk: MakeDesk,
    snap_compare: Any,
    size: tuple[int, int],
    theme: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = make_desk(is_demo=True)
    desk.engine.model.settings.config_file.unlink()
    place = cpu_place(Hardware("Linux", Cpu("A CPU", 8), Memory(16 * 2**30, 12 * 2**30)))
    fits = {"dtype": "bfloat16", "weights": "int8", "context_tokens": 20_000, "problem": None}

    def models(mentioned: Sequence[str]) -> list[FoundModel]:
        """Always the same figures, whatever the planner learns."""
        found = find_models(desk.engine.model.settings, place)
        return [replace(one, bytes=8_300_000_000, plan=replace(one.plan, **fits)) for one in found]  # type: ignore[arg-type, type-var]

    def speeds(self: Model, models: Sequence[FoundModel]) -> dict[str, Speed]:
        return {one.name: Speed(2e10, 1e11, 2.9, 1e9, 156.0) for one in models}

    monkeypatch.setattr(desk.engine.model, "available", models)
    monkeypatch.setattr(Model, "speeds", speeds)

    async def scene(pilot: Pilot[None]) -> None:
        pilot.app.theme = theme.name
        await sees(pilot, "about 2.5 minutes a picture")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@SIZES
@LIGHTS
def test_a_chat_with_two_pictures(
    desk: Desk, snap_compare: Any, size: tuple[int, int], theme: Any
) -> None:
    files = (
        picture_file("circle.png", png("#c0392b", (640, 480), "ellipse")),
        picture_file("square.png", png("#2c6e9b", (640, 480), "rectangle")),
    )
    words = "The first shows a circle, the second a square. " * 4
    desk.chat("An older chat", "Yes.", title="An older chat")
    session = desk.chat("What do they show?", words, files=files, title="Two shapes")

    async def scene(pilot: Pilot[None]) -> None:
        pilot.app.theme = theme.name
        await sees(pilot, "The first shows")
        drawings = screen(pilot).query(Drawing)
        await until(pilot, lambda: all(one.drawn for one in drawings), "the drawings")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)
