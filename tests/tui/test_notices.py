"""Line of notices: newest first, counted, cleared by esc, covering nothing; all on a key."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets._toast import Toast

import tui.app
from assistant.values.errors import ModelError
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    Gate,
    area,
    composer,
    idle,
    notices,
    opened,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    threads_ended,
    until,
)
from tui.pages.notices import NoticesScreen
from tui.requests import notify
from tui.widgets.chip_bar import ChipBar
from tui.widgets.context_meter import ContextMeter
from tui.widgets.notice_line import NoticeLine

SIZES = pytest.mark.parametrize("size", [NARROW, (200, 50)], ids=["narrow", "wide"])


def line(pilot: Any) -> NoticeLine:
    found = pilot.app.screen.query_one(NoticeLine)
    assert isinstance(found, NoticeLine)
    return found


@SIZES
async def test_one_line_that_covers_nothing(desk: Desk, size: tuple[int, int]) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=size, notifications=True) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"))
        await sees(pilot, "a.png")
        for words in ("First [/b].", "Second.", "Third, which is long. " * 5):
            notify(area(pilot), words)
        await sees(pilot, "(+2)")
        assert "Third" in shown(pilot)
        assert "Second" not in shown(pilot)
        assert not pilot.app.screen.query(Toast)
        mine = line(pilot).region
        assert mine.height <= 3
        for other in (composer(pilot), screen(pilot).query_one(ChipBar), area(pilot)):
            assert not other.region.overlaps(mine)
        assert not screen(pilot).query_one(ContextMeter).region.overlaps(mine)
        assert mine.bottom == composer(pilot).region.y


@SIZES
async def test_later_news_do_not_hide_an_error(desk: Desk, size: tuple[int, int]) -> None:
    async with desk.app().run_test(size=size, notifications=True) as pilot:
        notify(area(pilot), "News before.")
        notify(area(pilot), "An error.", error=True)
        notify(area(pilot), "News.")
        notify(area(pilot), "More news.")
        await sees(pilot, "• More news.  (+2)")
        assert "✕ An error." in shown(pilot)
        assert line(pilot).region.bottom == composer(pilot).region.y
        notify(area(pilot), "Another error.", error=True)
        await sees(pilot, "✕ Another error.  (+4)")
        await pilot.press("escape")
        await until(pilot, lambda: "error" not in shown(pilot), "they are gone")


@pytest.mark.slow
async def test_escape_clears_it_and_only_then_means_something_else(desk: Desk) -> None:
    session = desk.chat("Hello", "Hello you")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        await pilot.press("ctrl+up", "ctrl+up", "e")
        await until(pilot, lambda: composer(pilot).edited, "the edit")
        notify(area(pilot), "Something.")
        await sees(pilot, "esc clears the notice")
        await pilot.press("escape")
        await until(pilot, lambda: "Something." not in shown(pilot), "it is gone")
        assert composer(pilot).edited
        assert "esc clears" not in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not composer(pilot).edited, "the edit's end")


async def test_escape_stops_a_reply_although_a_notice_stands(desk: Desk) -> None:
    gate = Gate()
    desk.say("Half", gate, " more")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, "Hello")
        await sees(pilot, "Half")
        notify(area(pilot), "Something.")
        await sees(pilot, "Something.")
        await pilot.press("escape")
        await idle(pilot)
        assert "Something." not in shown(pilot)


async def test_a_tall_chat_moves_nothing_for_a_notice(desk: Desk) -> None:
    session = desk.chat(*["Hello", "Hello you\n\n* a\n* b\n* c"] * 12)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Hello you")
        before = shown(pilot).splitlines()[:-8]
        notify(area(pilot), "Something.")
        await sees(pilot, "Something.")
        assert shown(pilot).splitlines()[:-8] == before


async def test_the_same_notice_again_is_counted(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        for _ in range(3):
            await pilot.press("ctrl+r")
        await sees(pilot, "There is no question to answer yet. ×3")
        assert "(+" not in shown(pilot)


async def test_a_notice_goes_by_itself_and_an_error_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        notify(area(pilot), "An error.", error=True)
        await sees(pilot, "✕ An error.")
        monkeypatch.setattr(tui.app, "NOTICE_S", 0.01)
        notify(area(pilot), "A notice.")
        await until(pilot, lambda: "A notice." in notices(pilot), "it came")
        await until(pilot, lambda: "A notice." not in shown(pilot), "it went")
        assert "✕ An error." in shown(pilot)
        await send(pilot, "Hello")  # a new exchange begins
        await until(pilot, lambda: "An error" not in shown(pilot), "it went too")
        await idle(pilot)


async def test_all_notices_on_a_key_a_click_and_by_command(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        notify(area(pilot), "An error.", error=True)
        notify(area(pilot), "A notice.")
        await sees(pilot, "A notice.")
        await pilot.press("escape", "f12")
        await sees(pilot, "12:00  • A notice.")
        assert shown(pilot).index("A notice.") < shown(pilot).index("✕ An error.")
        await pilot.press("f12")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        notify(area(pilot), "One more.")
        await sees(pilot, "One more.")
        await pilot.click(NoticeLine)
        await until(pilot, lambda: isinstance(pilot.app.screen, NoticesScreen), "its list")
        await pilot.press("escape")
        await send(pilot, "/notices")
        await until(pilot, lambda: isinstance(pilot.app.screen, NoticesScreen), "its list")


PAGES = ["f1", "f2", "f3", "f4", "f5", "f6", "f8", "f9", "f10", "f12", "ctrl+f", "ctrl+o", "ctrl+p"]
LARGER = [(80, 14), NARROW, (200, 50)]


def has_place(pilot: Pilot[None], mine: Widget) -> bool:
    """Say whether a notice, all parts of the page and its lists are in sight and apart."""
    page = pilot.app.screen
    parts = page.query(".dialog, .page, PictureScreen > *, CommandPalette > Vertical")
    return (
        page.region.contains_region(mine.region)
        and not page.show_vertical_scrollbar
        and all(page.region.contains_region(part.region) for part in parts)
        and not any(part.region.overlaps(mine.region) for part in parts if part is not mine)
        and all(one.size.height for one in page.query(OptionList) if one.display)
    )


@pytest.mark.parametrize(
    "size", [(24, 8), *(pytest.param(size, marks=pytest.mark.slow) for size in LARGER)]
)
async def test_pages_and_dialogs_have_a_place_for_it(desk: Desk, size: tuple[int, int]) -> None:
    session = desk.chat("Hello", "Hello you", files=[picture_file("a.png")])
    async with desk.app(session).run_test(size=size) as pilot:
        await opened(pilot, session)
        for key in PAGES:
            await pilot.press(key)
            await until(pilot, lambda: pilot.app.screen is not screen(pilot), "the page")
            await threads_ended(pilot)
            page = pilot.app.screen
            notify(page, f"Said on {key}.")
            await sees(pilot, f"Said on {key}.")
            await until(pilot, partial(has_place, pilot, line(pilot)), f"a place for it on {key}")
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")


@pytest.mark.slow
async def test_fourteen_pictures_are_one_sentence(make_desk: Any) -> None:
    desk = make_desk(context=20_000)
    desk.core._num_crops = 16
    data = png(size=(640, 480))
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).chips.put_first(*(picture_file(f"{n}.png", data) for n in range(14)))
        await send(pilot, "What are they?")
        await until(pilot, lambda: notices(pilot), "a word")
        await idle(pilot)
        (only,) = notices(pilot)
        assert only.startswith("In full, pictures 1 to 14 take 27k tokens and one message's")


@pytest.mark.slow
async def test_what_can_not_be_attached_is_one_sentence(desk: Desk) -> None:
    paths = [desk.file(f"{n}.png", b"no picture") for n in range(14)]
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).attach([str(path) for path in paths])
        await until(pilot, lambda: notices(pilot), "a word")
        (only,) = notices(pilot)
        assert only.startswith("14 pictures can't be attached: ")
        assert "and 10 more. Of the first: " in only


@SIZES
def test_notices_look(desk: Desk, snap_compare: Any, size: tuple[int, int]) -> None:
    session = desk.chat("Which colour?", "It is teal.")

    async def scene(pilot: Any) -> None:
        await sees(pilot, "It is teal.")
        await composer(pilot).chips.put_first(picture_file("a.png"))
        notify(area(pilot), "The chat stays on top.")
        notify(area(pilot), "The model demo-2 is not on this machine; F8 gets it.", error=True)
        await sees(pilot, "(+1)")

    assert snap_compare(desk.app(session), terminal_size=size, run_before=scene)


@pytest.mark.parametrize("markup", [False, True])
async def test_no_notice_obeys_what_a_program_says(desk: Desk, markup: bool) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        pilot.app.notify("A\x1b[2J\x1b]52;c;QQ==\x07\x9b31mB\x00\u202eC", markup=markup)
        await sees(pilot, "• A")
        pilot.app.refresh(layout=True)
        await send(pilot, "Hello")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert not any(sign in notices(pilot)[0] for sign in "\x1b\x07\x9b\x00\u202e")


async def test_a_model_that_can_t_count_is_the_status_lines_matter(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, counted = desk.chat("Hello", "Hello you"), []

    def refuse(*_: object) -> None:
        counted.append(1)
        raise ModelError("Nothing answers.")

    monkeypatch.setattr("tui.chat.draft_part.measure_draft", refuse)
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await opened(pilot, session)
        await send(pilot, "/stopat END")
        await sees(pilot, "Replies end before")
        await until(pilot, lambda: len(counted) > 1, "it is counted")
        await threads_ended(pilot)
        assert notices(pilot) == ["Replies end before “END”."]
