"""SVG snapshots of dialogs and single turns (pytest tests/tui --snapshot-update)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from assistant.core.memory.hardware import Cpu, Hardware, Memory
from assistant.core.memory.places import cpu_place
from assistant.models.catalogue import find_models
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    composer,
    picture_file,
    png,
    sees,
    select_turn,
    until,
)
from tui.widgets.chip import Chip

Scene = Callable[[Pilot[None]], Awaitable[None]]
BOTH = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
LONG = "Ein sehr langer Name für ein Bild, das jemand so genannt hat (Kopie 2).png"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@BOTH
def test_a_selected_turn(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    session = desk.chat(
        "Which colour?", "It is **teal**.", "And in code?", "```python\ncolour = 'teal'\n```"
    )
    turns = desk.engine.store.conversation(session).turns
    desk.engine.store.set_turn_pinned(turns[0].id, True)
    desk.reply(session, turns[2], "As before:\n\n```python\nprint('teal')\n```")

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "As before:")
        await select_turn(pilot)
        await sees(pilot, "Reply ‹2/2›")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


@BOTH
def test_what_can_be_done_with_a_turn(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    session = desk.chat("Which colour?", "It is teal.")

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "It is teal.")
        await select_turn(pilot, "enter")
        await sees(pilot, "This turn")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


@BOTH
def test_choosing_crops(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[None]) -> None:
        await composer(pilot).chips.put_first(picture_file(LONG, png(size=(1600, 1200))))
        composer(pilot).query_one(Chip).focus()
        await sees(pilot, "tokens")
        await pilot.press("enter")
        await sees(pilot, "at most 16 crops")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@BOTH
def test_picking_a_picture(
    desk: Desk, snap_compare: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(desk.folder))
    folder = desk.folder / "holiday"
    (folder / "older ones").mkdir(parents=True)
    for name in ("beach.JPG", LONG, "海の写真.png"):
        (folder / name).write_bytes(png("teal", (640, 480), "ellipse"))
    (folder / "notes.txt").write_text("no picture")
    monkeypatch.chdir(folder)

    async def scene(pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+o")
        await sees(pilot, "beach.JPG")
        await pilot.press("down", "space", "down")
        await sees(pilot, "takes 313 tokens")
        await until(pilot, lambda: not pilot.app.workers, "it is drawn")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@BOTH
def test_a_picture_shown_large(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    files = (picture_file("a.png"), picture_file(LONG, png("teal", (640, 480), "ellipse")))
    session = desk.chat("Which of them is round?", "The second.", files=files)

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "The second.")
        await pilot.press("f3")
        await sees(pilot, "crop and the whole")
        await until(pilot, lambda: not pilot.app.workers, "it is drawn")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


@BOTH
def test_the_models(
    desk: Desk, snap_compare: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cpu_place(Hardware("Linux", Cpu("A CPU", 8), Memory(16 * 2**30, 12 * 2**30)))
    fits = {"dtype": "bfloat16", "weights": "int8", "context_tokens": 20_000, "problem": None}
    found = [
        replace(one, bytes=8_300_000_000, plan=replace(one.plan, **fits))  # type: ignore[arg-type, type-var]
        for one in find_models(desk.engine.model.settings, place)
    ]
    monkeypatch.setattr(desk.engine.model, "available", lambda _: found)

    async def scene(pilot: Pilot[None]) -> None:
        await pilot.press("f8")
        await sees(pilot, "Get Phi-3.5")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@BOTH
def test_one_setting(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[None]) -> None:
        await pilot.press("f9")
        await sees(pilot, "temperature")
        await pilot.press("enter")
        await sees(pilot, "enter takes it")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)


@BOTH
def test_wide_and_long_titles(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    birds = "🐦 鳥の写真について、とても長い題名がここにあります。もっと長く"
    desk.chat("x", "a", title=birds, files=(picture_file("a.png"),))
    desk.chat("y", "a", title="A title of many words that never seems to end, wherever one looks")
    session = desk.chat("Which?", "This.", title="👩 wider than the line above the chat: " * 4)
    desk.engine.store.set_pinned(session, True)

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "This.")
        if size == NARROW:
            await pilot.press("ctrl+b")
        await sees(pilot, "鳥")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)
