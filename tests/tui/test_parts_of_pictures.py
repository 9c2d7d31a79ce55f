"""A part of a picture: framed by keys and by the mouse, attached, and shown in its picture."""

from __future__ import annotations

import pytest
from textual import events
from textual.geometry import Region
from textual.pilot import Pilot

from assistant.pictures import decode
from assistant.values.conversation import Draft, PictureFile
from tests.tui.desk import (
    WIDE,
    Desk,
    area,
    composer,
    notices,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    until,
)
from tests.tui.test_pictures_shown import app_with
from tui.pages.picture import PictureScreen
from tui.terminal.detect import PictureProtocol
from tui.widgets.chat_view import ChatView
from tui.widgets.chip import Chip
from tui.widgets.framed_drawing import FramedDrawing
from tui.widgets.parts_drawing import PartsDrawing

BLACK_AND_WHITE = {(0, 0, 0), (255, 255, 255)}
YELLOW = (255, 255, 0)
PHOTO = picture_file("photo.png", png("#c0392b", (400, 300), "ellipse"))


def drawing(pilot: Pilot[None]) -> FramedDrawing:
    return pilot.app.screen.query_one(FramedDrawing)


async def framed(pilot: Pilot[None]) -> None:
    await sees(pilot, "Yes.")
    await pilot.press("f3")
    await until(pilot, lambda: pilot.app.screen.query(FramedDrawing), "the page")
    await until(pilot, lambda: drawing(pilot).drawn, "the pixels")
    await pilot.press("r")
    await sees(pilot, "the part 133×100 at 133,100")


async def attached(pilot: Pilot[None]) -> PictureFile:
    await until(pilot, lambda: composer(pilot).query(Chip), "the part")
    return composer(pilot).chips.files[-1]


def press_at_once(pilot: Pilot[None], keys: list[str]) -> None:
    """Press keys without waiting for each, which takes a tenth of a second."""
    for key in keys:
        pilot.app.post_message(events.Key(key, None))


async def test_keys_frame_a_part_and_enter_attaches_it(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await framed(pilot)
        cells = drawing(pilot).size
        step, rise = round(400 / cells.width), round(300 / cells.height)
        await pilot.press("right", "right", "up", "shift+right", "shift+up")
        await sees(pilot, f"the part {133 + step}×{100 - rise} at {133 + 2 * step},{100 - rise}")
        assert "┏━" in shown(pilot)
        press_at_once(pilot, ["left"] * cells.width + ["shift+right"] * cells.width)
        await sees(pilot, "the part 400×")
        press_at_once(pilot, ["shift+left"] * cells.width + ["shift+up"] * cells.height)
        await sees(pilot, "the part 1×1 at 0,")
        await pilot.press("escape", "r", "enter")
        part = await attached(pilot)
        assert part.region is not None
        assert (part.region.sha256, part.region.typed) == (PHOTO.sha256, "133,100,133,100")
        cut = decode.pixels(PHOTO.data).crop((133, 100, 266, 200))
        assert decode.pixels(part.data).tobytes() == cut.tobytes()
        await send(pilot, "What is it?")
        await sees(pilot, "Picture 2 · part of picture 1 at 133,100 · 133×100")
    stored = desk.store.conversation(session).pictures[1].region
    assert stored is not None
    assert stored.number == 1


async def test_the_mouse_frames_what_it_is_dragged_over(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await pilot.press("f3")
        await until(pilot, lambda: pilot.app.screen.query(FramedDrawing), "the page")
        await until(pilot, lambda: drawing(pilot).drawn, "the pixels")
        where, cells = drawing(pilot), drawing(pilot).size
        await pilot.mouse_down(where, offset=(cells.width - 1, cells.height - 1))
        await pilot.hover(where, offset=(cells.width // 2, cells.height // 2))
        await pilot.mouse_up(where, offset=(cells.width // 2, cells.height // 2))
        await until(pilot, lambda: where.box, "the frame")
        left, top, width, height = where.box or (0, 0, 0, 0)
        assert (left + width, top + height) == (400, 300)
        assert abs(left - 200) <= 400 / cells.width
        assert abs(top - 150) <= 300 / cells.height
        await pilot.hover(where, offset=(1, 1))
        assert where.box == (left, top, width, height)
        await pilot.press("enter")
        assert (await attached(pilot)).width == width


@pytest.mark.slow
async def test_a_picture_shows_the_frames_of_its_parts(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (200, 0, 200, 150))
    session = desk.chat("See", "Yes.", files=(PHOTO, part))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Picture 2 · part of picture 1 at 200,0")
        await send(pilot, "/picture 1")
        await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "the page")
        await sees(pilot, "┌2─")
        corner = next(line for line in shown(pilot).splitlines() if "┌2─" in line)
        where = drawing(pilot).region
        assert corner.index("┌2─") == where.x + where.width // 2
        await pilot.press("right")
        await sees(pilot, "Picture 2 · part of picture 1")
        assert "┌2─" not in shown(pilot)


@pytest.mark.parametrize("typed", ["/region 1 100,50,25%,100", "/crop #1 25%, 50, 100, 100"])
async def test_a_command_attaches_a_part(desk: Desk, typed: str) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, typed)
        assert (await attached(pilot)).name == "photo.png@100,50,100,100"


@pytest.mark.slow
async def test_a_part_that_can_t_be_is_refused_in_a_sentence(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        for count, typed in enumerate(
            ("/region 1 here", "/region 1 400,0,5,5", "/region 7 1,1,5,5"), 1
        ):
            await send(pilot, typed)
            await until(pilot, lambda wanted=count: len(notices(pilot)) == wanted, "a word")  # type: ignore[misc]
            await until(pilot, lambda typed=typed: area(pilot).text == typed, "it is back")  # type: ignore[misc]
            area(pilot).text = ""
        assert notices(pilot) == [
            "“here” is no part of a picture: give left,top,width,height in pixels or percent.",
            "The part 400,0,5,5 of photo.png is empty: that picture has 400 x 300 pixels.",
            "There is no picture 7 in this chat.",
        ]


async def test_a_number_alone_frames_and_attach_takes_a_path(desk: Desk) -> None:
    path = desk.folder / "on disk.png"
    path.write_bytes(PHOTO.data)
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, "/region 1")
        await sees(pilot, "the part 133×100 at 133,100")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        await send(pilot, f'/attach "{path}@10,10,50,50"')
        assert (await attached(pilot)).name == "on disk.png@10,10,50,50"


async def test_a_part_of_an_attached_picture_and_of_a_part(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (200, 0, 200, 150))
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(part)
        await until(pilot, lambda: composer(pilot).query_one(Chip).number, "its number")
        await send(pilot, "/region 1 50,50,100,100")
        await until(pilot, lambda: len(composer(pilot).chips.files) == 2, "the part")
        assert composer(pilot).chips.files[1].name == "photo.png@250,50,100,100"


def sixel_of(one: PartsDrawing) -> str:
    """Return the Sixel sequence that is drawn now; "" for none."""
    rows = one.render_lines(one.size.region)
    return "".join(segment.text for row in rows for segment in row if "\x1bP" in segment.text)


def colours_at(one: PartsDrawing, x: int, y: int) -> set[object]:
    """Return the colours of the Sixel picture right of a place in the picture's own pixels."""
    assert one.at_rest is not None
    image = one.at_rest.image
    assert image is not None
    left, row = x * image.width // PHOTO.width, y * image.height // PHOTO.height
    return {image.getpixel((left + step, row)) for step in range(8)}


@pytest.mark.slow
async def test_frames_are_drawn_into_sixel_pictures_at_rest(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (200, 0, 200, 150))
    session = desk.chat("See", "Yes.", files=(PHOTO, part))
    async with app_with(desk, PictureProtocol.SIXEL, session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, "/picture 1")
        await sees(pilot, "┌2─")
        await until(pilot, lambda: sixel_of(drawing(pilot)), "the picture with its frame")
        assert colours_at(drawing(pilot), 200, 75) >= BLACK_AND_WHITE
        before = sixel_of(drawing(pilot))
        await pilot.press("r", "shift+right")
        assert not sixel_of(drawing(pilot)), "half blocks follow what moves"
        assert "┏━" in shown(pilot)
        await until(pilot, lambda: sixel_of(drawing(pilot)), "both frames")
        assert sixel_of(drawing(pilot)) != before
        assert YELLOW in colours_at(drawing(pilot), 133, 150)
        await pilot.press("escape")
        await until(pilot, lambda: sixel_of(drawing(pilot)) == before, "the frame of the part")


async def test_frames_stand_over_kitty_s_cells(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (200, 0, 200, 150))
    session = desk.chat("See", "Yes.", files=(PHOTO, part))
    async with app_with(desk, PictureProtocol.KITTY, session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, "/picture 1")
        await sees(pilot, "┌2─")


async def test_a_change_below_a_page_leaves_no_hole_in_a_sixel_picture(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with app_with(desk, PictureProtocol.SIXEL, session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        below = screen(pilot)
        await pilot.press("f3")
        await until(pilot, lambda: pilot.app.screen.query(FramedDrawing), "the page")
        await until(pilot, lambda: sixel_of(drawing(pilot)), "the picture")
        region, page = drawing(pilot).region, pilot.app.screen
        page.refresh(Region(0, region.y, region.x + 4, 2))
        assert any(painted.contains_region(region) for painted in page._dirty_regions)
        assert below is not page


@pytest.mark.slow
async def test_without_drawings_the_frame_is_typed(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with app_with(desk, PictureProtocol.TEXT, session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        await send(pilot, "/region 1")
        await until(pilot, lambda: notices(pilot), "a word")
        assert "give the part as /region NUMBER left,top,width,height" in notices(pilot)[0]


def test_a_draft_shows_its_part(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (0, 0, 10, 10))
    desk.store.save_draft(None, Draft("kept", (part,)))
    kept = desk.store.draft(None)
    assert kept is not None
    assert kept.pictures[0].region == part.region


@pytest.mark.slow
async def test_the_chat_shows_the_frames_of_parts_wherever_they_are(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(PHOTO,))
    async with desk.app(session).run_test(size=(140, 80)) as pilot:
        await framed(pilot)
        await pilot.press("enter")
        await attached(pilot)
        assert "┌2─" not in shown(pilot)
        await send(pilot, "And this?")
        await sees(pilot, "┌2─")
        view = screen(pilot).query_one(ChatView)
        await view.cut_below(view.turns[1].id)
        await until(pilot, lambda: "┌2─" not in shown(pilot), "the end of the part")


async def test_a_chat_shows_the_frames_of_parts_in_sixel_pictures(desk: Desk) -> None:
    part = decode.cut(PHOTO, PHOTO.data, (200, 0, 200, 150))
    session = desk.chat("See", "Yes.", files=(PHOTO, part))
    async with app_with(desk, PictureProtocol.SIXEL, session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Yes.")
        parent = screen(pilot).query(PartsDrawing).first()
        await until(pilot, lambda: parent.at_rest, "the picture with its frame")
        assert colours_at(parent, 200, 75) >= BLACK_AND_WHITE
