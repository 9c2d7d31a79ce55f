"""Control characters of imported chats: none reaches the terminal, shown or edited.

Every page is opened on a chat whose title, texts, system prompt, draft, model and picture names
hold escapes, and every cell and every field that is there is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from assistant.values.conversation import Draft
from tests.tiers import few_quick
from tests.tui.desk import Desk, area, composer, notices, opened, picture_file, send, until

HOSTILE = (
    "a\x1b[31mb\x1b]0;title\x07c\x1bP+q\x1b\\d\x9b2Je\x9d0;x\x9cf\x00g\x08h\x7fi\x85j\x1b(0k"
    "\N{RIGHT-TO-LEFT OVERRIDE}l\N{LEFT-TO-RIGHT ISOLATE}m\x0en\x1bc\x1b"
)
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
PAGES = ["f1", "f2", "f3", "f4", "f5", "f6", "f8", "f9", "ctrl+f", "ctrl+o", "ctrl+p"]


def is_control(character: str) -> bool:
    number = ord(character)
    is_code = number < 0x20 or 0x7F <= number < 0xA0
    return (is_code and character != "\n") or character in BIDI


def texts(pilot: Pilot[None]) -> Iterator[str]:
    """Return everything that is painted, and what the fields of all screens hold."""
    for strip in pilot.app.screen._compositor.render_strips():
        yield from (segment.text for segment in strip if not segment.control)
    for screen in pilot.app.screen_stack:
        # a tab is text, and is painted as blanks
        yield from (field.text.replace("\t", " ") for field in screen.query(TextArea))
        yield from (field.value.replace("\t", " ") for field in screen.query(Input))
        yield from (field.placeholder for field in screen.query(Input))
    yield from notices(pilot)
    yield pilot.app.title + pilot.app.sub_title


def assert_plain(pilot: Pilot[None], where: str) -> None:
    for text in texts(pilot):
        assert not any(map(is_control, text)), (where, text)


def hostile_chat(desk: Desk) -> str:
    """Store what an import can bring: every text of it holds escapes."""
    said = f"{HOSTILE}\n\n`{HOSTILE}`\n\n|{HOSTILE}|\n|-|\n|{HOSTILE}|\n\n```{HOSTILE}\n{HOSTILE}\n"
    session = desk.chat(said, said, files=(picture_file(f"{HOSTILE}.png"),))
    desk.store.rename(session, HOSTILE)
    desk.store.set_system(session, HOSTILE)
    desk.store.set_model(session, HOSTILE)
    desk.store.save_draft(session, Draft(HOSTILE, (picture_file(f"{HOSTILE}.png"),)))
    return session


@pytest.mark.parametrize("key", few_quick(PAGES, 3))
async def test_no_page_shows_or_edits_control_characters(desk: Desk, key: str) -> None:
    session = hostile_chat(desk)
    async with desk.app(session).run_test(size=(120, 50)) as pilot:
        await opened(pilot, session)
        await until(pilot, lambda: composer(pilot).chips.files, "the draft")
        assert area(pilot).text, "the draft is there to be edited"
        assert_plain(pilot, "the chat")
        below = pilot.app.screen
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.screen is not below, "the page")
        await pilot.press("tab")
        assert_plain(pilot, key)


@pytest.mark.slow
async def test_what_is_edited_again_has_no_control_characters(desk: Desk) -> None:
    session = hostile_chat(desk)
    async with desk.app(session).run_test(size=(120, 50)) as pilot:
        await opened(pilot, session)
        await pilot.press("ctrl+up", "up", "e")
        await until(pilot, lambda: composer(pilot).edited, "the edit")
        await until(pilot, lambda: "abc" in area(pilot).text, "its text")
        assert_plain(pilot, "an edit")
        await pilot.press("escape")
        composer(pilot).area.set_text("")
        below = pilot.app.screen
        await send(pilot, "/system")
        await until(pilot, lambda: pilot.app.screen is not below, "the system prompt")
        await until(pilot, lambda: pilot.app.screen.query_one(TextArea).text, "its text")
        assert_plain(pilot, "the system prompt")


async def test_no_way_into_a_field_lets_control_characters_in(desk: Desk) -> None:
    async with desk.app().run_test() as pilot:
        field, line = area(pilot), Input(HOSTILE)
        await pilot.app.screen.mount(line)
        for put in (field.load_text, field.insert, lambda text: setattr(field, "text", text)):
            put(HOSTILE)
            assert field.text
            assert_plain(pilot, "a text area")
        field.replace(HOSTILE, (0, 0), (0, 1))
        for put in (line.insert_text_at_cursor, lambda text: setattr(line, "value", text)):
            put(HOSTILE)
            assert line.value
        assert_plain(pilot, "a line")
