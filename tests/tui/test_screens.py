"""SVG snapshots of the main screens (update: pytest tests/tui --snapshot-update)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from assistant.values.errors import ModelError
from assistant.values.events import Progressed, Stage
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    chat,
    composer,
    idle,
    opened,
    picture_file,
    png,
    screen,
    sees,
    send,
    until,
)
from tui.widgets.drawing import Drawing

Scene = Callable[[Pilot[None]], Awaitable[None]]

ANSWER = """The picture shows **one red circle** on a white ground.

- its *colour* is close to `#c0392b`
- it is filled, without an outline

```python
def area(radius: float) -> float:
    return 3.14159 * radius**2
```

| property | value |
|---|---|
| shape | circle |
| colour | red |
"""


def stock(desk: Desk) -> str:
    """Three chats; returns the newest."""
    desk.chat("Which bird is this?", "A robin.", age=timedelta(days=1, hours=2))
    desk.chat(
        "Read the total",
        "The total is 41.90.",
        files=(picture_file("a.png", png("navy", (200, 120), "ellipse")), picture_file("b.png")),
        title="Receipt from the hardware shop",
        age=timedelta(hours=2, minutes=30),
    )
    return desk.chat(
        "What is in this picture?",
        ANSWER,
        "And **now** [red]what[/]?",
        "It is a `circle`.",
        files=(picture_file("circle.png", png("#c0392b", (640, 480), "ellipse")),),
        age=timedelta(minutes=6),
    )


async def drawn(pilot: Pilot[None]) -> None:
    """Wait until every picture has its pixels."""
    drawings = screen(pilot).query(Drawing)
    await until(pilot, lambda: all(drawing.drawn for drawing in drawings), "the drawings")


def _pictures(pilot: Pilot[None]) -> int:
    """Return how many pictures the meter counts."""
    measured = screen(pilot).status_bar.meter.measured
    return len(measured.report.pictures) if measured is not None else 0


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
class TestMainScreens:
    """The four faces of the one screen, small and large."""

    def test_welcome_with_the_demo_model(
        self, make_desk: MakeDesk, snap_compare: Any, size: tuple[int, int]
    ) -> None:
        desk = make_desk(is_demo=True)
        stock(desk)

        async def scene(pilot: Pilot[None]) -> None:
            await sees(pilot, "The demo model answers")

        assert snap_compare(desk.app(), terminal_size=size, run_before=scene)

    def test_a_chat_from_its_beginning(
        self, desk: Desk, snap_compare: Any, size: tuple[int, int]
    ) -> None:
        session = stock(desk)

        async def scene(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: screen(pilot).query(Drawing), "the chat")
            await drawn(pilot)
            chat(pilot).scroll_home(animate=False, immediate=True)
            await sees(pilot, "Picture 1 · circle.png")
            await sees(pilot, "the chat goes on below")

        assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)

    def test_writing_a_message_with_two_pictures(
        self, desk: Desk, snap_compare: Any, size: tuple[int, int]
    ) -> None:
        session = stock(desk)

        async def scene(pilot: Pilot[None]) -> None:
            await sees(pilot, "It is a circle.")
            await drawn(pilot)
            await composer(pilot).chips.put_first(
                picture_file("my cat.png", png("orange", (800, 600))), picture_file("two.png")
            )
            area(pilot).insert("Compare\nthese two")
            await until(pilot, lambda: _pictures(pilot) == 3, "they are counted")

        assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)

    def test_a_reply_that_is_being_written(
        self, desk: Desk, snap_compare: Any, size: tuple[int, int]
    ) -> None:
        session = stock(desk)
        gate = Gate()
        desk.say("It is **still** red.\n\n```python\nprint('half", gate)

        async def scene(pilot: Pilot[None]) -> None:
            await sees(pilot, "It is a circle.")
            await drawn(pilot)
            await send(pilot, "Look again")
            await sees(pilot, "print('half")

        assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


async def _help(pilot: Pilot[None]) -> None:
    await pilot.press("f1")
    await sees(pilot, "Keys and commands")


async def _list(pilot: Pilot[None]) -> None:
    await pilot.press("ctrl+b", "end", "p")
    await sees(pilot, "★ Which bird is this?")


async def _rename(pilot: Pilot[None]) -> None:
    await pilot.press("f2")
    await sees(pilot, "Title of this chat")


@pytest.mark.parametrize("scene", [_help, _list, _rename], ids=lambda s: s.__name__)
def test_what_lies_over_the_chat(desk: Desk, snap_compare: Any, scene: Scene) -> None:
    session = stock(desk)

    async def run(pilot: Pilot[None]) -> None:
        await sees(pilot, "It is a circle.")
        await drawn(pilot)
        await scene(pilot)

    assert snap_compare(desk.app(session), terminal_size=NARROW, run_before=run)


def test_progress_and_a_failed_reply(desk: Desk, snap_compare: Any) -> None:
    session = stock(desk)
    desk.say("Half of an", ModelError("The model ran out of memory; attach fewer pictures."))
    gate = Gate()
    desk.say(Progressed(Stage.PREFILL, 40, 100), gate)

    async def scene(pilot: Pilot[None]) -> None:
        await sees(pilot, "It is a circle.")
        await drawn(pilot)
        await send(pilot, "Once more")
        await sees(pilot, "out of memory")
        await idle(pilot)
        await send(pilot, "And again")
        await sees(pilot, "reading the chat 40 %")

    assert snap_compare(desk.app(session), terminal_size=WIDE, run_before=scene)


async def test_pages_have_words_in_the_smallest_window(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=(24, 8)) as pilot:
        await opened(pilot, session)
        await pilot.press("f5")
        await sees(pilot, "Model scripted")
        await pilot.press("escape", "f4")
        await sees(pilot, "<|user|>")
