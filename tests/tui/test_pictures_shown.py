"""Pictures in their turn and large, in every protocol; what reaches a real terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from textual.geometry import Region

from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from storage.store import Store
from tests.bench.pseudo_terminal import PseudoTerminal
from tests.tui.desk import (
    NARROW,
    NOON,
    WIDE,
    Desk,
    notices,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    until,
)
from tests.wait import read_until
from tui.app import PhichatApp
from tui.pages.picture import PictureScreen
from tui.terminal.detect import Graphics, PictureProtocol
from tui.terminal.graphics import PLACEHOLDER
from tui.widgets.drawing import Drawing
from tui.widgets.picture_view import PictureView

TWO = (
    picture_file("red.png", png("#c0392b", (640, 480), "ellipse")),
    picture_file("a [b] name.png", png("navy", (300, 480), "rectangle")),
)


def app_with(desk: Desk, protocol: PictureProtocol, session: str) -> PhichatApp:
    app = PhichatApp(
        desk.engine,
        load_settings({}),
        session_id=session,
        graphics=Graphics(protocol),
        clock=lambda: NOON,
    )
    app.animation_level = "none"
    return app


@pytest.mark.slow
async def test_f3_shows_the_picture_in_sight_with_its_facts_and_steps(desk: Desk) -> None:
    session = desk.chat("What are these?", "Two shapes.", files=TWO)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Two shapes.")
        await pilot.press("f3")
        await sees(pilot, "Picture 2 · a [b] name.png · 300×480")
        await sees(pilot, "300×480 · PNG · ")
        shape = desk.engine.pictures.layout(desk.engine.store.conversation(session).pictures[1])
        await sees(pilot, f"{shape.words}: {shape.tokens} tokens")
        assert "with “What are these?”" in shown(pilot)
        large = pilot.app.screen.query_one(Drawing)
        await until(pilot, lambda: large.drawn, "the pixels")
        assert large.size.height > 20
        await pilot.press("right")
        await sees(pilot, "Picture 1 · red.png")
        assert "1 of 2" in shown(pilot)
        await pilot.press("escape")
        assert pilot.app.screen is screen(pilot)


@pytest.mark.slow
async def test_a_click_and_a_command_show_a_picture_too(desk: Desk) -> None:
    session = desk.chat("What are these?", "Two shapes.", files=TWO)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Two shapes.")
        await pilot.click(screen(pilot).query(PictureView).first(), offset=(2, 4))
        await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "it is large")
        await sees(pilot, "Picture 1 · red.png")
        await pilot.press("f3")
        await send(pilot, "/picture #2")
        await sees(pilot, "Picture 2 · a [b] name.png")
        await pilot.press("q")
        await send(pilot, "/picture nine[/]")
        await until(pilot, lambda: notices(pilot), "a word about it")
        assert notices(pilot) == ["There is no picture nine[/] in this chat."]


async def test_without_a_picture_f3_says_so(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: notices(pilot), "a word about it")
        assert notices(pilot) == ["This chat has no picture yet."]


async def test_words_where_nothing_can_be_drawn(desk: Desk) -> None:
    session = desk.chat("What are these?", "Two shapes.", files=TWO)
    async with app_with(desk, PictureProtocol.TEXT, session).run_test(size=NARROW) as pilot:
        await sees(pilot, "[picture 1: red.png 640x480]")
        await sees(pilot, "[picture 2: a [b] name.png 300x480]")
        assert not screen(pilot).query(Drawing)


async def test_every_row_of_a_picture_is_in_sight_and_a_blank_one_below(desk: Desk) -> None:
    session = desk.chat("What are these?", "Two shapes.", files=TWO)
    async with desk.app(session).run_test(size=(122, 60)) as pilot:
        await sees(pilot, "Two shapes.")
        await until(pilot, lambda: all(d.drawn for d in screen(pilot).query(Drawing)), "pictures")
        lines = shown(pilot).splitlines()
        for drawing in screen(pilot).query(Drawing):
            region = drawing.region
            drawn = [line[region.x : region.right] for line in lines[region.y : region.bottom]]
            assert drawn == ["▀" * region.width] * region.height
            assert region.height == 14
            assert not lines[region.bottom][region.x :].strip()


async def test_a_change_below_a_dialog_is_painted_once(desk: Desk) -> None:
    """Textual 8.2 would go on painting both screens for ever: slow, and Sixel never rests."""
    session = desk.chat("What are these?", "Two shapes.", files=TWO)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Two shapes.")
        below = screen(pilot)
        await pilot.press("f3")
        await sees(pilot, "Picture 2 · a [b] name.png")
        below.refresh()
        await until(pilot, lambda: not below._repaint_required, "an end of it")


@pytest.mark.slow
async def test_kitty_s_cells_are_shown_only_where_nothing_tints_them(desk: Desk) -> None:
    session = desk.chat("What are these?", "Two shapes.", files=TWO[:1])
    async with app_with(desk, PictureProtocol.KITTY, session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: screen(pilot).query(Drawing), "the turn")
        drawing = screen(pilot).query_one(Drawing)
        await until(pilot, lambda: drawing.drawn, "the picture")
        await sees(pilot, PLACEHOLDER)
        assert "▀" not in shown(pilot)
        await pilot.press("f1")
        rows = drawing.render_lines(Region(0, 0, drawing.size.width, 2))
        assert "▀" in rows[0].text
        await pilot.press("escape")
        await sees(pilot, PLACEHOLDER)


async def test_sixel_pictures_are_drawn_when_nothing_moves(desk: Desk) -> None:
    session = desk.chat("What are these?", "\n\n".join(["Words."] * 30), files=TWO[:1])
    async with app_with(desk, PictureProtocol.SIXEL, session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: screen(pilot).query(Drawing), "the turn")
        drawing = screen(pilot).query_one(Drawing)
        await until(pilot, lambda: drawing.drawn, "the picture")
        view = drawing.query_ancestor("ChatView")

        def rows() -> str:
            return "".join(row.text for row in drawing.render_lines(drawing.size.region))

        view.scroll_home(animate=False, immediate=True)  # type: ignore[attr-defined]
        assert "\x1bP" not in rows()
        await until(pilot, lambda: "\x1bP" in rows(), "at rest")
        view.scroll_to(y=1, animate=False, immediate=True)  # type: ignore[attr-defined]
        assert "\x1bP" not in rows()


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """A session with a picture, in the home that the process gets."""
    home = Path(os.environ["PHICHAT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    store = Store.open(home / "phichat.db")
    session, _ = store.add_user_turn(None, Draft("What is it?", TWO[:1]), model="scripted")
    store.close()
    return session


LEFT = b"\x1b[?1049l"
"""The way back from the screen of the app."""


def written(session: str, protocol: str, pattern: bytes) -> bytes:
    """Return the output of the app on a real terminal: it is left when ``pattern`` is in it."""
    home = os.environ["PHICHAT_HOME"]
    environment = {
        "PHICHAT_HOME": home,
        "PHICHAT_MODEL": f"{home}/no-model",
        "PHICHAT_PICTURES": protocol,
    }
    command = ["-m", "assistant.cli", "chat", "--session", session]
    with PseudoTerminal(command, environment) as terminal:
        seen = read_until(terminal.descriptor, lambda text: re.search(pattern, text, re.DOTALL))
        terminal.write(b"\x11")  # ctrl+q
        return seen + read_until(terminal.descriptor, lambda text: LEFT in text)


def test_kitty_gets_the_picture_and_its_cells(stored: str) -> None:
    output = written(stored, "kitty", b"\x1b_Ga=p,U=1.*" + PLACEHOLDER.encode())
    upload = re.search(rb"\x1b_Gi=(\d+),f=100,q=2,m=[01];[A-Za-z0-9+/=]+\x1b\\", output)
    assert upload is not None
    number = int(upload[1])
    colour = f"38;2;{number >> 16 & 255};{number >> 8 & 255};{number & 255}".encode()
    assert colour in output
    on_its_screen, _, _ = output.partition(LEFT)
    assert b"\x1b_Ga=d,d=I,i=%d,q=2\x1b\\" % number in on_its_screen


@pytest.mark.slow
def test_sixel_gets_the_picture_over_the_half_blocks(stored: str) -> None:
    output = written(stored, "sixel", rb"\x1b7\x1b\[\d+;\d+H\x1bP[^\x1b]*\x1b\\\x1b8")
    assert "▀".encode() in output


def test_half_blocks_write_neither(stored: str) -> None:
    output = written(stored, "halfblocks", "▀".encode())
    assert b"\x1b_G" not in output
    assert b"\x1bP" not in output
