"""Every way for a picture to get into the composer, and out of it again."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from textual import events
from textual.pilot import Pilot

from assistant.pictures.dropped import file_of
from tests.pictures.pdf_files import page, pdf
from tests.tiers import few_quick
from tests.tui.desk import (
    NARROW,
    WIDE,
    Desk,
    area,
    composer,
    idle,
    notices,
    open_page,
    picture_file,
    png,
    screen,
    sees,
    send,
    shown,
    until,
)
from tui.pages.attach import AttachScreen, PathInput
from tui.pages.picture import PictureScreen
from tui.terminal.detect import PAGE_UPLOADS
from tui.widgets.chip import Chip
from tui.widgets.folder_list import FolderList
from tui.widgets.picture_drawing import PictureDrawing

SCREENSHOT = "Screenshot at 9.41.00\u202fAM.png"


def names(pilot: Pilot[None]) -> list[str]:
    return [file.name for file in composer(pilot).chips.files]


async def attached(pilot: Pilot[None], *expected: str) -> None:
    await until(pilot, lambda: names(pilot) == list(expected), f"chips {expected}")


async def test_attach_ask_and_see_it_in_the_turn(desk: Desk) -> None:
    path = desk.file("red circle.PNG", png("red", (64, 64), "ellipse"))
    async with desk.app().run_test(size=(100, 40)) as pilot:
        await send(pilot, f"/attach '{path}'")
        await attached(pilot, "red circle.PNG")
        await sees(pilot, "red circle.PNG 64×64")
        await send(pilot, "What is it?")
        await sees(pilot, "Picture 1 · red circle.PNG · 64×64")
        await idle(pilot)
        assert names(pilot) == []
    assert len(desk.core.prompts[0].slots) == 1


async def test_dropped_files_become_chips(desk: Desk) -> None:
    a, b = desk.file("a one.png"), desk.file("b.JPG")
    blank = "\\ "
    async with desk.app().run_test(size=WIDE) as pilot:
        for text in (f"'{a}' '{b}'", f"{a} {b}".replace("a one", f"a{blank}one"), f"{a}\n{b}\n"):
            area(pilot).insert("typed before")
            area(pilot).post_message(events.Paste(text))
            await attached(pilot, "a one.png", "b.JPG")
            assert area(pilot).text == "typed before"
            await composer(pilot).empty_at_once()


async def test_the_ways_into_the_message(
    desk: Desk, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "p.png").write_bytes(png())
    a, b, shot = desk.file("a one.png"), desk.file("b.png"), desk.file(SCREENSHOT)
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    async with desk.app().run_test(size=WIDE) as pilot:
        for typed, *expected in (
            (str(b), "b.png"),  # alone: it is attached, and nothing is sent
            (f'/attach "{a}" {b}', "a one.png", "b.png"),
            (f"/attach {address}", "sign"),
            ("/attach ~/p.png", "p.png"),
        ):
            await send(pilot, typed)
            await attached(pilot, *expected)
            assert area(pilot).text == ""
            await composer(pilot).empty_at_once()
        for pasted, name, words in (
            (f"'{shot}' what is this?", SCREENSHOT, "what is this?"),
            (url, "pasted.png", ""),
        ):
            area(pilot).post_message(events.Paste(pasted))
            await attached(pilot, name)
            assert area(pilot).text == words
            await composer(pilot).empty_at_once()
    assert desk.engine.store.sessions() == []


async def test_pages_of_a_document_are_attached_in_their_order(desk: Desk) -> None:
    report = desk.file("report.pdf", pdf(page("red"), page("green"), page("blue")))
    photo = desk.file("b.png")
    async with desk.app().run_test(size=(120, 60)) as pilot:
        area(pilot).post_message(events.Paste(f"{report}#2- {photo}"))
        await attached(pilot, "report.pdf, page 2", "report.pdf, page 3", "b.png")
        await send(pilot, "What is it?")
        await sees(pilot, "Picture 2 · report.pdf, page 3 · 834×1250")
        await idle(pilot)
    assert len(desk.core.prompts[0].slots) == 3


@pytest.mark.parametrize(
    "path", few_quick(["/no/such.png", "such.JPG", "'a b.pdf#2'", "no.png@0,0,9,9"])
)
async def test_a_path_typed_alone_without_a_file_is_not_sent(desk: Desk, path: str) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, path)
        await until(pilot, lambda: notices(pilot), "a word")
        assert notices(pilot)[0].startswith(f"There is no file {file_of(path.strip(chr(39)))}:")
        assert area(pilot).text == path
        await send(pilot, " is what I want to save")
        await until(pilot, lambda: desk.store.sessions(), "the message")
        (session,) = desk.store.sessions()
        assert desk.store.conversation(session.id).turns[0].text == f"{path} is what I want to save"


async def test_a_document_that_is_refused_leaves_one_sentence(desk: Desk) -> None:
    secret = desk.file("empty.pdf", b"%PDF-1.7")
    async with desk.app().run_test(size=NARROW, notifications=True) as pilot:
        await send(pilot, f"/attach '{secret}'")
        await until(pilot, lambda: notices(pilot), "a notice")
        assert notices(pilot) == ["empty.pdf is damaged or incomplete; get another copy of it."]
        assert names(pilot) == []


async def test_the_path_of_a_refused_upload_is_not_typed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of phichat serve drops files of its own folder, with names that the user chose."""
    notes, here = desk.file("notes.txt", b"No picture."), desk.file("here.txt", b"No picture.")
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).post_message(events.Paste(f"'{here}'"))
        await until(pilot, lambda: len(notices(pilot)) == 1, "a notice")
        assert area(pilot).text == f"'{here}'"
        await composer(pilot).empty_at_once()
        monkeypatch.setenv(PAGE_UPLOADS, str(notes.parent))
        area(pilot).post_message(events.Paste(f"'{notes}'"))
        await until(pilot, lambda: len(notices(pilot)) == 2, "a notice")
        assert area(pilot).text == ""


@pytest.fixture
def address() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = png()
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/sign"
    server.shutdown()
    server.server_close()


async def test_pictures_of_the_command_line_are_attached_at_the_start(desk: Desk) -> None:
    path = desk.file("a.png")
    async with desk.app(pictures=[str(path)]).run_test(size=NARROW) as pilot:
        await attached(pilot, "a.png")


async def test_a_bad_picture_is_one_sentence_and_nothing_is_lost(desk: Desk) -> None:
    (desk.folder / "folder").mkdir()
    desk.file("text.png", b"just text")
    desk.file("cut.png", png(size=(300, 300))[:200])
    async with desk.app().run_test(size=NARROW, notifications=True) as pilot:
        await composer(pilot).chips.put_first(picture_file("kept.png"))
        area(pilot).insert("kept text")
        for count, name in enumerate(("[/missing].png", "text.png", "cut.png", "folder"), 1):
            path = str(desk.folder / name)
            await screen(pilot).conversation.draft.attachments.action_attach(path)
            await until(pilot, lambda count=count: len(notices(pilot)) == count, "a notice")
            assert name in notices(pilot)[-1]
            assert "\n" not in notices(pilot)[-1]
            assert names(pilot) == ["kept.png"]
            assert area(pilot).text == "kept text"
        area(pilot).set_text("go on")
        await pilot.press("enter")
        await sees(pilot, "Yes.")
        await idle(pilot)


async def test_one_bad_picture_does_not_keep_the_good_ones_out(desk: Desk) -> None:
    good = desk.file("good.png")
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).attach((str(desk.folder / "missing.png"), str(good)))
        await attached(pilot, "good.png")
        await until(pilot, lambda: notices(pilot), "a notice")


async def test_attach_takes_several_paths_and_addresses(desk: Desk) -> None:
    one, two = desk.file("one.png"), desk.file("my cat.png")
    async with desk.app().run_test(size=WIDE) as pilot:
        for typed, named in (
            (f"{two}", [str(two)]),
            (f"{one} '{two}'", [str(one), str(two)]),
            (
                "https://x.example/a https://x.example/b?c",
                ["https://x.example/a", "https://x.example/b?c"],
            ),
            (f"{one} https://x.example/a", [str(one), "https://x.example/a"]),
            ("not here.png", ["not here.png"]),
            ("it's not here.png", ["it's not here.png"]),
        ):
            assert await composer(pilot).named.listed(typed) == named


@pytest.mark.slow
async def test_backspace_in_the_empty_composer_takes_the_last_picture(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"), picture_file("b.png"))
        await pilot.press("x", "backspace")
        assert names(pilot) == ["a.png", "b.png"]
        await pilot.press("backspace")
        await attached(pilot, "a.png")
        await pilot.press("backspace", "backspace")
        await attached(pilot)
        assert not composer(pilot).chips.display


@pytest.mark.slow
async def test_a_click_on_the_cross_takes_that_picture(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"), picture_file("b.png"))
        await pilot.pause()
        chip = screen(pilot).query(Chip).first()
        await pilot.click(chip, offset=(3, 0))
        await until(pilot, lambda: isinstance(pilot.app.screen, PictureScreen), "it is large")
        await pilot.press("escape")
        assert names(pilot) == ["a.png", "b.png"]
        column = str(chip.label.render()).index("✕") + 1
        await pilot.click(chip, offset=(column, 0))
        await attached(pilot, "b.png")


async def test_pictures_without_words_are_kept_until_there_is_a_question(desk: Desk) -> None:
    async with desk.app().run_test(size=NARROW) as pilot:
        await composer(pilot).chips.put_first(picture_file("a.png"))
        await pilot.press("enter")
        await until(pilot, lambda: notices(pilot), "a word about it")
        assert names(pilot) == ["a.png"]
    assert desk.engine.store.sessions() == []


async def test_while_a_picture_opens_nothing_is_sent_without_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    really_open = desk.engine.pictures.open_each

    def slow(source: str, watch: object) -> object:
        opened.wait()
        return really_open(source)

    monkeypatch.setattr(desk.engine.pictures, "open_each", slow)
    path = desk.file("a.png")
    async with desk.app().run_test(size=NARROW) as pilot:
        for count, then in enumerate(("", "escape", "!"), 1):  # it is sent, held, changed
            opened.clear()
            await send(pilot, str(path))
            await sees(pilot, f"opening {path.name} …")
            await send(pilot, "What is it?")
            await until(pilot, lambda: composer(pilot)._sends == "What is it?", "it waits")
            assert "It is sent when its pictures are open; esc keeps it here." in notices(pilot)
            assert area(pilot).text == "What is it?"
            if then:
                await pilot.press(then)
            opened.set()
            if then:
                await attached(pilot, "a.png")
                await until(pilot, lambda: not composer(pilot).chips.opening, "its chip alone")
                await idle(pilot)
                assert len(desk.core.prompts) == count - 1
                await pilot.press("enter")
            await until(pilot, lambda count=count: len(desk.core.prompts) == count, "the prompt")
            await idle(pilot)
            await attached(pilot)


async def test_the_picker_shows_completes_and_chooses(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A.JPG", "b.png", "My cat.PNG", "notes.txt", ".hidden.png", "[red]c[.webp"):
        desk.file(name)
    (desk.folder / "more").mkdir()
    monkeypatch.chdir(desk.folder)
    async with desk.app().run_test(size=NARROW) as pilot:
        # 1) folders and pictures in either case, the first of which is drawn
        await open_page(pilot, "ctrl+o")
        await sees(pilot, "[red]c[.webp")
        rows = pilot.app.screen.query_one(FolderList)
        listed = [path.name for path in rows._paths[1:]]
        assert listed == ["more", "[red]c[.webp", "A.JPG", "b.png", "My cat.PNG"]
        await until(pilot, lambda: pilot.app.screen.query(PictureDrawing), "the preview")
        drawing = pilot.app.screen.query_one(PictureDrawing)
        assert drawing._gallery is screen(pilot)._gallery
        await until(pilot, lambda: drawing.drawn, "it is drawn")
        # 2) chosen there
        await pilot.press("down", "enter")
        await attached(pilot, "[red]c[.webp")
        # 3) left
        await open_page(pilot, "ctrl+o", "escape")
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
        await attached(pilot, "[red]c[.webp")
        # 4) typed and completed
        await open_page(pilot, "ctrl+o", "m", "y", "tab")
        await until(
            pilot, lambda: pilot.app.screen.query_one(PathInput).value == "My cat.PNG", "the name"
        )
        await pilot.press("enter")
        await attached(pilot, "[red]c[.webp", "My cat.PNG")


async def test_typing_filters_and_arrows_go_into_the_list_and_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("beach.png", "chart.png", "torch.png"):
        desk.file(name)
    (desk.folder / "older ones").mkdir()
    (desk.folder / "older ones" / "tree.webp").write_bytes(png())
    monkeypatch.chdir(desk.folder)
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("ctrl+o", *"ch")
        rows = pilot.app.screen.query_one(FolderList)
        await until(
            pilot,
            lambda: [path.name for path in rows._paths] == ["chart.png", "beach.png", "torch.png"],
            "the filter",
        )
        await pilot.press("down", "down")
        assert rows.has_focus
        assert rows.path == desk.folder / "beach.png"
        await pilot.press("up", "up", "backspace", "backspace", *"old", "enter")
        await until(pilot, lambda: rows.folder.name == "older ones", "the folder")
        assert pilot.app.screen.query_one(PathInput).value == "older ones/"
        await pilot.press("down", "left")
        await until(pilot, lambda: rows.folder == desk.folder, "the folder above")
        await pilot.press("o", "r")  # from the list to the line
        await until(pilot, lambda: len(rows._paths) == 1, "the filter")
        await pilot.press("enter")
        await attached(pilot, "torch.png")


async def test_blanks_mark_several(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png", "c.png"):
        desk.file(name)
    monkeypatch.chdir(desk.folder)
    async with desk.app().run_test(size=NARROW) as pilot:
        await pilot.press("ctrl+o", "down", "space", "space", "space")
        await sees(pilot, "Attach 3 pictures")
        await pilot.press("up", "space")  # no longer
        await sees(pilot, "Attach 2 pictures")
        assert shown(pilot).count("✓") == 2
        await pilot.press("enter")
        await attached(pilot, "a.png", "c.png")


async def test_a_number_refers_to_what_is_attached_now(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"{desk.file('one.png')} {desk.file('two.png')}")
        await until(pilot, lambda: len(composer(pilot).chips.files) == 2, "the chips")
        area(pilot).insert("#2")
        await sees(pilot, "#2 two.png · attached above")  # not sent: /picture can't show it
        await composer(pilot).chips.remove_last()
        await sees(pilot, "#2 is no picture of this chat")
        await composer(pilot).chips.remove_last()
        area(pilot).set_text("#1")
        await sees(pilot, "#1 is no picture of this chat")


@pytest.mark.slow
async def test_a_new_chat_knows_no_picture_of_the_last_one(desk: Desk) -> None:
    session = desk.chat("See", "Yes.", files=(picture_file("one.png"),))
    async with desk.app(session).run_test(size=WIDE) as pilot:
        await sees(pilot, "▌ See")
        await until(pilot, lambda: area(pilot).pictures, "the picture")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen(pilot).chat.session_id is None, "the new chat")
        area(pilot).set_text("#1")
        await sees(pilot, "#1 is no picture of this chat")


async def test_arrows_that_come_at_once_each_move_on(desk: Desk) -> None:
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, " ".join(str(desk.file(f"{n}.png")) for n in range(4)))
        await until(pilot, lambda: len(composer(pilot).chips.files) == 4, "the chips")
        chips = list(screen(pilot).query(Chip))
        chips[3].focus()
        await until(pilot, lambda: chips[3].has_focus, "the last")
        for key in ("left", "left", "left", "right"):
            pilot.app.post_message(events.Key(key, None))
        await until(pilot, lambda: chips[1].has_focus, "three to the left, one back")


async def test_a_picture_that_is_cut_short_is_shown_with_a_word(desk: Desk) -> None:
    whole = BytesIO()
    Image.effect_noise((64, 64), 60).save(whole, "PNG")
    path = desk.file("cut.png", whole.getvalue()[: -len(whole.getvalue()) // 10])
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, str(path))
        await attached(pilot, "cut.png")
        await sees(pilot, "cut.png 64×64 cut short")
        await until(
            pilot, lambda: any("rows are missing" in words for words in notices(pilot)), "notice"
        )


async def test_a_path_and_a_question_typed_in_one_line(desk: Desk) -> None:
    path = str(desk.file(SCREENSHOT)).replace("\u202f", " ")
    async with desk.app().run_test(size=WIDE) as pilot:
        await send(pilot, f"{path} what is this?")
        await sees(pilot, "Attach and send")
        await pilot.press("enter")
        await sees(pilot, "▌ what is this?")
        await idle(pilot)
    assert len(desk.core.prompts[0].slots) == 1


@pytest.mark.slow
async def test_the_dialog_takes_a_path_as_it_is_dropped(desk: Desk) -> None:
    path = desk.file("a one.png")
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        pilot.app.screen.query_one(PathInput).value = f"'{path}'"
        await pilot.press("enter")
        await attached(pilot, "a one.png")


async def test_tab_completes_a_name_with_other_spaces(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.file(SCREENSHOT)
    monkeypatch.chdir(path.parent)
    async with desk.app().run_test(size=WIDE) as pilot:
        area(pilot).insert("/attach Screenshot\\ at\\ 9.41.00\\ A")
        await pilot.press("tab")
        await until(pilot, lambda: area(pilot).text.endswith("AM.png "), "the completion")
        await pilot.press("enter")
        await attached(pilot, SCREENSHOT)


async def test_a_disk_that_answers_after_the_page_is_gone(desk: Desk) -> None:
    """Its worker looked for a line that was no more, and ended the app."""
    async with desk.app().run_test(size=WIDE) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, AttachScreen), "the dialog")
        page, message = pilot.app.screen, composer(pilot)
        assert isinstance(page, AttachScreen)
        await page.remove_children()
        await page._look("")
        page.dismiss(None)
        await until(pilot, lambda: pilot.app.screen is screen(pilot), "the chat")
    await message._find_names("")
