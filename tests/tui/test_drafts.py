"""Drafts, #numbers of pictures, and what attached pictures cost."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assistant.pictures.source import open_source
from assistant.values.conversation import Draft
from assistant.values.errors import DiskFullError, StorageError
from assistant.values.origin import Origin
from assistant.values.region import Region
from tests.tui.conftest import MakeDesk
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    chat,
    composer,
    draft_read,
    idle,
    notices,
    pane,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    threads_ended,
    until,
)
from tests.wait import LIMIT_S
from tui.chat.drafts import DraftKeeper
from tui.chat.unsaved import read_aside, write_aside
from tui.widgets.chip import Chip
from tui.widgets.turn_window import Place
from tui.widgets.user_turn import UserTurn


async def test_what_was_not_sent_survives_a_restart(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    path = desk.file("later.png")
    for name in (None, session):
        async with desk.app(name).run_test(size=NARROW) as pilot:
            if name:
                await sees(pilot, "a1")
            await draft_read(pilot, name)
            await send(pilot, str(path))
            await until(pilot, lambda: composer(pilot).chips.files, "the picture")
            await pilot.press(*"not yet")
    for name in (None, session):
        async with desk.app(name).run_test(size=NARROW) as pilot:
            await until(pilot, lambda: area(pilot).text == "not yet", "the words")
            assert [file.name for file in composer(pilot).chips.files] == ["later.png"]


@pytest.mark.slow
async def test_a_draft_is_saved_while_one_types_and_dropped_when_it_is_sent(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "a1")
        await pilot.press(*"half a")
        await until(
            pilot, lambda: desk.engine.store.draft(session) == Draft("half a"), "it is saved"
        )
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
        assert desk.engine.store.draft(session) is None
    assert desk.engine.store.draft(session) is None
    assert desk.engine.store.draft(None) is None


@pytest.mark.slow
async def test_what_can_not_be_saved_at_the_end_is_written_aside(desk: Desk) -> None:
    """Another program holds SQLite's lock for longer than one who quits waits."""
    store = desk.engine.store
    app = desk.app()

    def words() -> str:
        return (store.draft(None) or Draft("")).text

    other = sqlite3.connect(str(store.engine.url.database), isolation_level=None)
    with closing(other):
        async with app.run_test(size=NARROW) as pilot:
            await draft_read(pilot, None)
            await composer(pilot).chips.put_first(picture_file("cat.png"))
            await pilot.press(*"kept")
            await until(pilot, lambda: words() == "kept", "it is saved")
            other.execute("BEGIN IMMEDIATE")
            await pilot.press(*" so far")
        other.execute("ROLLBACK")
    assert app.last_words.startswith("1 unsent message could not be saved in time")
    (folder,) = desk.engine.model.settings.data_dir.glob("unsaved-*")
    assert (folder / "message.txt").read_text() == "kept so far\n[picture-1.png: cat.png]\n"
    assert (folder / "picture-1.png").read_bytes() == picture_file("cat.png").data
    assert folder.stat().st_mode & 0o777 == 0o700
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        assert area(pilot).text == "kept so far"
        (file,) = composer(pilot).chips.files
        assert (file.name, file.data) == ("cat.png", picture_file("cat.png").data)
    assert not folder.exists()
    assert store.draft(None) == Draft("kept so far", (file,))


async def test_words_typed_before_the_stored_draft_was_read_are_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database could not be opened, or the user left before it was."""

    def refused(*_: object) -> None:
        raise StorageError("It can't be opened.")

    desk.store.save_draft(None, Draft("stored"))
    with monkeypatch.context() as patch:
        patch.setattr(desk.engine.store, "draft", refused)
        app = desk.app()
        async with app.run_test(size=NARROW) as pilot:
            await until(pilot, lambda: notices(pilot), "a refusal")
            await pilot.press(*"typed")
    assert app.last_words.startswith("1 unsent message could not be saved in time")
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        assert area(pilot).text == "stored\n\ntyped"


async def test_a_full_disk_at_the_end_leaves_the_words_in_the_terminal_and_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback of the log stood above them, in a terminal that is the user's again."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refused(*_: object) -> None:
        raise DiskFullError("The disk is full.")

    app, session = desk.app(), desk.chat("Hello", "Hi.")
    async with app.run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        monkeypatch.setattr(desk.engine.store, "save_draft", refused)
        await pilot.press(*"kept")
        screen(pilot).places.leave(session, Place("a", 1))
        monkeypatch.setattr(Path, "write_text", full)
        monkeypatch.setattr(tempfile, "mkstemp", full)
        caplog.clear()
    assert app.last_words.endswith("(No space left on device). The words are:\nkept")
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert list(desk.engine.model.settings.data_dir.glob("unsaved-*")) == []


@pytest.mark.parametrize(
    ("stored", "shown"), [("kept ", "kept so far"), ("other", "other\n\nkept so far")]
)
async def test_what_was_written_aside_goes_on_from_what_was_saved_at_last(
    desk: Desk, stored: str, shown: str
) -> None:
    """The save that waited for a lock came through after the copy was written."""
    desk.engine.store.save_draft(None, Draft(stored))
    write_aside({None: Draft("kept so far")}, desk.engine.model.settings.data_dir)
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        assert area(pilot).text == shown


@pytest.mark.parametrize("damage", ["", "{", '{"chat": null, "text": "x", "pictures": [{}]}'])
async def test_what_was_written_aside_and_can_not_be_read_stays(desk: Desk, damage: str) -> None:
    folder = desk.engine.model.settings.data_dir / "unsaved-x"
    folder.mkdir(parents=True)
    (folder / "draft.json").write_text(damage)
    async with desk.app().run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        assert area(pilot).text == ""
    assert folder.exists()


def test_a_part_of_a_page_written_aside_stays_one(tmp_path: Path) -> None:
    file = replace(
        picture_file("report.pdf#2@1,2,3,4"),
        num_crops=4,
        region=Region("a" * 64, 1, 2, 3, 4, 7),
        origin=Origin("b" * 64, "report.pdf", 2),
    )
    write_aside({None: Draft("Read it.", (file, picture_file("cat.png")))}, tmp_path)
    ((_, draft),) = read_aside(None, tmp_path, open_source)
    assert draft == Draft("Read it.", (file, picture_file("cat.png")))


async def test_words_typed_while_the_database_is_slow_are_saved_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key has to follow once the stored draft was read."""
    store, gate = desk.engine.store, threading.Event()
    read, saved = store.draft, DraftKeeper.save
    tries: list[str | None] = []

    def slow(place: str | None) -> Draft | None:
        gate.wait(LIMIT_S)
        return read(place)

    def counted(keeper: DraftKeeper, place: str | None) -> None:
        tries.append(place)
        saved(keeper, place)

    monkeypatch.setattr(store, "draft", slow)
    monkeypatch.setattr(DraftKeeper, "save", counted)
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press(*"early")
        await until(pilot, lambda: tries, "it is too early to save")
        gate.set()
        await until(pilot, lambda: read(None) == Draft("early"), "it is saved")


async def test_a_draft_that_is_stored_already_is_not_waited_for(desk: Desk) -> None:
    store = desk.engine.store
    app = desk.app()
    async with app.run_test(size=NARROW) as pilot:
        await draft_read(pilot, None)
        await pilot.press(*"kept")
        await until(pilot, lambda: store.draft(None) == Draft("kept"), "it is saved")
        await threads_ended(pilot)
        other = sqlite3.connect(str(store.engine.url.database), isolation_level=None)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            assert screen(pilot).conversation.draft.keeper.close() == {}
            other.execute("ROLLBACK")
    assert app.last_words == ""
    assert store.draft(None) == Draft("kept")


@pytest.mark.slow
async def test_chips_say_number_size_and_cost_and_their_crops_can_be_chosen(desk: Desk) -> None:
    session = desk.chat("q1", "a1", files=(picture_file("first.png"),))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "a1")
        await composer(pilot).chips.put_first(picture_file("big.png", png(size=(640, 480))))
        await sees(pilot, "#2 big.png 640×480 313 tokens")
        await pilot.press("shift+tab")
        assert isinstance(screen(pilot).focused, Chip)
        await pilot.press("enter")
        await sees(pilot, "at most 4 crops")
        assert "757 tokens" in shown(pilot)
        await pilot.press("down", "down", "enter")
        await sees(pilot, "#2 big.png 640×480 757 tokens 4 crops")
        await pilot.press("escape")
        await send(pilot, "What is it?")
        await sees(pilot, "Yes.")
        await idle(pilot)
    assert desk.engine.store.conversation(session).pictures[1].num_crops == 4


@pytest.mark.slow
async def test_the_crops_of_a_picture_that_was_sent_can_be_chosen_again(desk: Desk) -> None:
    big = picture_file("big.png", png(size=(640, 480)))
    session = desk.chat("What is it?", "A square.", files=(big,))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "A square.")
        await pilot.press("f3")
        await sees(pilot, "c crops")
        await sees(pilot, "313 tokens")
        await pilot.press("c")
        await sees(pilot, "at most 16 crops")
        await pilot.press("down", "down", "enter")
        await sees(pilot, "2×2 crops and the whole: 757 tokens")
        await pilot.press("escape")
        await until(pilot, lambda: pane(pilot).turns[0].pictures[0].num_crops == 4, "the chat")
    assert desk.engine.store.conversation(session).turns[0].pictures[0].num_crops == 4


async def test_the_focus_walks_along_the_chips_and_delete_takes_one(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(*(picture_file(f"{name}.png") for name in "abc"))
        await pilot.press("shift+tab", "left", "delete")
        await until(pilot, lambda: len(composer(pilot).chips.files) == 2, "one is gone")
        assert [file.name for file in composer(pilot).chips.files] == ["a.png", "c.png"]


@pytest.mark.slow
async def test_fewer_crops_for_want_of_room_are_announced(make_desk: MakeDesk) -> None:
    desk = make_desk(context=3000)
    desk.core._num_crops = 16
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("big.png", png(size=(640, 480))))
        await sees(pilot, "↓")
        await send(pilot, "What is it?")
        await until(pilot, lambda: notices(pilot), "a word")
        assert notices(pilot) == [
            "In full, picture 1 takes 1.9k tokens and one message's pictures share 658 of 2.0k: "
            "the model looks at it in 1 crop. F3, then c, chooses."
        ]
        await idle(pilot)


@pytest.mark.slow
async def test_a_number_is_completed_and_refers_to_its_picture(desk: Desk) -> None:
    files = (picture_file("cat.png"), picture_file("dog.png"))
    session = desk.chat("Look", "Two", files=files)
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "Two")
        await until(pilot, lambda: area(pilot).pictures, "the pictures")
        await pilot.press("#", "tab")
        await sees(pilot, "#2 dog.png   #1 cat.png")
        await pilot.press("c", "a", "tab")
        assert area(pilot).text == "#1 "
        await sees(pilot, "#1 cat.png · /picture 1 shows it")
        area(pilot).set_text("and #7?")
        await sees(pilot, "#7 is no picture of this chat")
        area(pilot).set_text("Compare #1 with #2")
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)
        words = chat(pilot).query(UserTurn).last().query_one(".words")
        spans = words.render().spans  # type: ignore[union-attr]
        assert [(span.start, span.end) for span in spans] == [(8, 10), (16, 18)]
    assert desk.engine.store.conversation(session).turns[2].text == "Compare #1 with #2"


async def test_a_picture_out_of_sight_is_announced_and_can_be_pinned(make_desk: MakeDesk) -> None:
    desk = make_desk(context=1300)
    files = [picture_file(f"{n}.png", png(size=(200 + n, 150))) for n in range(4)]
    session, turn = desk.store.add_user_turn(None, Draft("first", (files[0],)), model="scripted")
    desk.reply(session, turn, "one")
    for file in files[1:]:
        _, turn = desk.store.add_user_turn(session, Draft("next", (file,)), model="scripted")
        desk.reply(session, turn, "more")
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).pictures, "the pictures")
        await pilot.press(*"see #1")
        await sees(pilot, "the model no longer sees it: /pin #1 brings it back")
        area(pilot).set_text("/pin #1")
        await pilot.press("enter")
        await until(
            pilot,
            lambda: desk.engine.store.conversation(session).pictures[0].pinned,
            "it is pinned",
        )
        area(pilot).set_text("see #1")
        await sees(pilot, "#1 0.png · /picture 1 shows it")


class Slow(BaseHTTPRequestHandler):
    """Sends half of a picture, then waits for the test."""

    def do_GET(self) -> None:
        data = png()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.server.gate.wait(20)  # type: ignore[attr-defined]
            self.wfile.write(data[len(data) // 2 :])
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.gate = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.gate.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


async def test_a_fetch_shows_its_progress_and_can_be_given_up(
    desk: Desk, slow: ThreadingHTTPServer
) -> None:
    address = f"http://127.0.0.1:{slow.server_port}/cat.png"
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"/attach {address}")
        await sees(pilot, " % of ")
        await pilot.press("backspace")
        await until(pilot, lambda: not composer(pilot).chips.opening, "it is given up")
        await send(pilot, f"/attach {address}")
        await sees(pilot, " % of ")
        slow.gate.set()  # type: ignore[attr-defined]
        await sees(pilot, "#1 cat.png 64×48")
        assert len(composer(pilot).chips.files) == 1
        assert notices(pilot) == []


async def test_the_picker_shows_the_picture_that_the_cursor_is_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "A.PNG").write_bytes(png("red", (640, 480)))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    monkeypatch.chdir(folder)
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await sees(pilot, "broken.jpg")
        await sees(pilot, "640×480")
        await sees(pilot, "takes 313 tokens")
        await sees(pilot, "▀" * 30)
        await pilot.press("down", "down")  # into the list, and on
        await sees(pilot, "is damaged")


@pytest.mark.parametrize("is_new", [False, True])
async def test_what_another_window_sent_is_not_sent_twice(desk: Desk, is_new: bool) -> None:
    session = None if is_new else desk.chat("q1", "a1")
    desk.store.save_draft(session, Draft("Only once"))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).text == "Only once", "the draft")
        desk.store.add_user_turn(session, Draft("Only once"), model="scripted", drop_draft=True)
        await until(pilot, lambda: not area(pilot).text, "it is gone here too")
        assert "sent in another window" in notices(pilot)[-1]
        await pilot.press("up")
        await until(pilot, lambda: area(pilot).text == "Only once", "it can be had")


async def test_what_another_window_sent_just_now_is_asked_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DraftKeeper, "look", lambda self: None)
    session = desk.chat("q1", "a1")
    desk.store.save_draft(session, Draft("Only once"))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).text == "Only once", "the draft")
        desk.store.add_user_turn(session, Draft("Only once"), model="scripted", drop_draft=True)
        await pilot.press("enter")
        await sees(pilot, "enter sends it here too")
        await until(pilot, lambda: area(pilot).text == "Only once", "the message")
        assert len(desk.core.prompts) == 0
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_what_another_window_dropped_is_saved_again(desk: Desk) -> None:
    session = desk.chat("q1", "a1")
    desk.store.save_draft(session, Draft("Half a"))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: area(pilot).text == "Half a", "the draft")
        desk.store.add_user_turn(session, Draft("Another"), model="scripted", drop_draft=True)
        await until(pilot, lambda: desk.store.draft(session) == Draft("Half a"), "it is saved")
        assert area(pilot).text == "Half a"
