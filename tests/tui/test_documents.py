"""Documents in the app: a strip of pages, of which some are attached, with their text if wanted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from tests.pictures.pdf_files import page, pdf
from tests.pictures.test_films import animation
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    sees,
    send,
    shown,
    until,
)
from tui.pages.attach import AttachScreen
from tui.pages.password import PasswordScreen
from tui.pages.strip import PageCell, StripScreen
from tui.widgets.picture_drawing import PictureDrawing

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def report(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pages in turn of a colour, in the folder where the app starts."""
    monkeypatch.chdir(desk.folder)
    pages = (page(COLOURS[number % 4], f"Page {number + 1}.") for number in range(12))
    return desk.file("report.pdf", pdf(*pages))


def names(pilot: Pilot[None]) -> list[str]:
    return [file.name for file in composer(pilot).chips.files]


async def the_strip(pilot: Pilot[None]) -> StripScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, StripScreen), "the strip")
    strip = pilot.app.screen
    assert isinstance(strip, StripScreen)
    await until(pilot, lambda: drawn(strip), "its pages")
    return strip


def drawn(strip: StripScreen) -> list[int]:
    """Return the pages in sight, once all of them are drawn."""
    cells = list(strip.query(PageCell))
    ready = all(one.drawn for cell in cells for one in cell.query(PictureDrawing))
    whole = len(strip.query(PictureDrawing)) == len(cells)
    return [cell.page for cell in cells] if ready and whole else []


async def pressed(pilot: Pilot[None], *keys: str) -> None:
    """Press keys, each when the one before was handled."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


@pytest.mark.slow
async def test_pages_are_chosen_in_the_attach_dialog(desk: Desk, report: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        await pressed(pilot, *"report.pdf", "enter")
        strip = await the_strip(pilot)
        assert drawn(strip) == [1, 2, 3, 4, 5, 6]
        await pressed(pilot, "right", "space", "end")
        await until(pilot, lambda: drawn(strip) == [7, 8, 9, 10, 11, 12], "the last pages")
        await pressed(pilot, "left", "space")
        await sees(pilot, "report.pdf: 12 pages; enter attaches 2 pages")
        await pressed(pilot, "enter")
        wanted = ["report.pdf, page 2", "report.pdf, page 11"]
        await until(pilot, lambda: names(pilot) == wanted, "the chips")
        assert area(pilot).text == ""
        assert not isinstance(pilot.app.screen, AttachScreen | StripScreen)


async def test_a_dropped_document_of_many_pages_asks_for_some(desk: Desk, report: Path) -> None:
    async with desk.app().run_test(size=NARROW, notifications=True) as pilot:
        area(pilot).post_message(events.Paste(str(report)))
        strip = await the_strip(pilot)
        assert drawn(strip) == [1, 2, 3]
        await pressed(pilot, "a", "a", "pagedown", "escape")
        assert strip.page == 4
        assert names(pilot) == []
        assert notices(pilot) == []
        await until(pilot, lambda: not composer(pilot).chips.opening, "no chip is left")


@pytest.mark.slow
async def test_the_text_of_pages_is_quoted_when_it_is_wanted(desk: Desk, report: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).insert("Is this right?")
        area(pilot).post_message(events.Paste(str(report)))
        await the_strip(pilot)
        await pressed(pilot, "space", "space", "t")
        quotation = "> report.pdf, page 1:\n> Page 1.\n\n> report.pdf, page 2:\n> Page 2."
        await until(pilot, lambda: quotation in area(pilot).text, "the quotation")
        await until(pilot, lambda: len(names(pilot)) == 2, "the pages")
        assert area(pilot).text.endswith("Is this right?")
        await pressed(pilot, "enter")  # the document that the quotation names is attached
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert len(desk.core.prompts[0].slots) == 2


async def test_nothing_is_sent_before_pages_were_chosen(desk: Desk, report: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "What is on the first page of @report.pdf right here?")
        await sees(pilot, "The message names report.pdf")
        await pilot.press("enter")
        await the_strip(pilot)
        await pressed(pilot, "enter")
        await until(pilot, lambda: names(pilot) == ["report.pdf, page 1"], "the page")
        await until(pilot, lambda: not composer(pilot).chips.opening, "its chip alone")
        assert "first page" in area(pilot).text
        assert desk.engine.store.sessions() == []


async def test_a_click_marks_a_page(desk: Desk, report: Path) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).post_message(events.Paste(str(report)))
        strip = await the_strip(pilot)
        await pilot.click(strip.query(PageCell)[2])
        assert (strip.page, list(strip.marked)) == (3, [3])


@pytest.mark.slow
async def test_a_scan_has_no_text_to_quote_and_says_so(desk: Desk, report: Path) -> None:
    report.write_bytes(pdf(page("red")))
    async with desk.app().run_test(size=WIDE, notifications=True) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        await pressed(pilot, *"report.pdf", "enter")
        await the_strip(pilot)
        await pressed(pilot, "t")
        await until(pilot, lambda: notices(pilot), "a notice")
        assert notices(pilot)[0].startswith("report.pdf has no text to quote")
        await until(pilot, lambda: names(pilot) == ["report.pdf"], "the page all the same")


async def test_the_strip_asks_for_the_password(desk: Desk, report: Path) -> None:
    report.write_bytes(pdf(page("red"), page("blue"), password="sesame 1"))
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        await pressed(pilot, *"report.pdf", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PasswordScreen), "the question")
        await pressed(pilot, *"sesame", "enter")
        await sees(pilot, "That is not it.")
        await pressed(pilot, *"sesame", "space", "1")
        assert "sesame" not in shown(pilot)
        await pressed(pilot, "enter")
        await the_strip(pilot)
        await pressed(pilot, "right", "enter")
        await until(pilot, lambda: names(pilot) == ["report.pdf, page 2"], "the page")


async def test_an_attached_document_asks_for_its_password(desk: Desk, report: Path) -> None:
    report.write_bytes(pdf(page("red"), password="sesame 2"))
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"/attach '{report}#1'")
        await until(pilot, lambda: isinstance(pilot.app.screen, PasswordScreen), "the question")
        await sees(pilot, "report.pdf needs a password")
        await pressed(pilot, *"no", "enter")
        await sees(pilot, "That is not it.")
        await pressed(pilot, *"sesame", "space", "2", "enter")
        await until(pilot, lambda: names(pilot) == ["report.pdf"], "the page")
        await send(pilot, "What is it?")
        await idle(pilot)
    stored = b"".join(one.read_bytes() for one in desk.folder.parent.rglob("*") if one.is_file())
    assert b"sesame 2" not in stored


async def test_an_animated_picture_is_its_frames_with_times(desk: Desk) -> None:
    dance = desk.file("dance.gif", animation("GIF", frames=3))
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).post_message(events.Paste(str(dance)))
        wanted = ["dance.gif at 0:00", "dance.gif at 0:00.1", "dance.gif at 0:00.2"]
        await until(pilot, lambda: names(pilot) == wanted, "the frames")
        await until(pilot, lambda: not composer(pilot).chips.opening, "the last")
        await send(pilot, "Which is the lightest?")
        await sees(pilot, "Picture 3 · dance.gif at 0:00.2 · 24×16")
        await idle(pilot)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
async def test_frames_of_a_video_are_chosen_from_the_strip(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    made = "color=red:size=64x48:rate=5:duration=9"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", made, str(desk.folder / "clip.mp4")]
    subprocess.run(command, check=True)
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        await pressed(pilot, *"clip.mp4", "enter")
        await the_strip(pilot)
        await pressed(pilot, "space", "right", "space")
        await sees(pilot, "clip.mp4: 9 frames; enter attaches 2 frames")
        await pressed(pilot, "enter")
        wanted = ["clip.mp4 at 0:00.5", "clip.mp4 at 0:02.5"]
        await until(pilot, lambda: names(pilot) == wanted, "the frames")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_the_strip(desk: Desk, report: Path, snap_compare: Any, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[None]) -> None:
        area(pilot).post_message(events.Paste(str(report)))
        strip = await the_strip(pilot)
        await pressed(pilot, "space", "right", "space")
        assert strip.page == 4
        await until(pilot, lambda: drawn(strip)[-1:] > [3], "the page under the cursor")

    assert snap_compare(desk.app(), terminal_size=size, run_before=scene)
