"""Pictures through tmux: what it says of who is attached, what passes it, who comes and goes."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, strategies as st

from assistant.settings.load import load as load_settings
from tests.tui.desk import NOON, WIDE, Desk, picture_file, png, screen, shown, until
from tui.app import PhichatApp
from tui.messages import TmuxAnswered
from tui.terminal import graphics, tmux
from tui.terminal.detect import DEFAULT_CELL, Colours, Graphics, PictureProtocol, choose
from tui.terminal.graphics import PLACEHOLDER
from tui.widgets.drawing import Drawing

INSIDE = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0", "TMUX_PANE": "%3"}
KITTY = "@1 12/1795966303 9x18 kitty(0.41.1)"
GHOSTTY = "@1 13/1795966304 8x17 ghostty 1.1.3"
XTERM = "@1 14/1795966305 6x13 XTerm(379)"
AWAY = "@2 15/1795966306 9x18 kitty(0.41.1)"
OPEN = "@1 01 on"


def answer(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def pane(*lines: str) -> tmux.Pane:
    return tmux.read(answer(*lines))


@pytest.mark.parametrize(
    ("lines", "passes", "draws", "viewers"),
    [
        ([OPEN, KITTY], True, True, 1),
        (["@1 01 1", KITTY], True, True, 1),  # tmux 3.3
        (["@1 01 all", KITTY, GHOSTTY], True, True, 2),
        ([OPEN, KITTY, XTERM], True, False, 2),
        ([OPEN, KITTY, AWAY], True, True, 1),
        ([OPEN, KITTY.replace("0.41", "0.27")], True, False, 1),
        ([OPEN, KITTY.replace("kitty(0.41.1)", "tmux 3.5a")], True, False, 1),  # one in another
        ([OPEN, KITTY.replace("kitty(0.41.1)", "")], True, False, 1),  # mosh, control mode
        ([OPEN, "@1 12/1"], True, False, 1),
        ([OPEN, ""], True, False, 0),
        ([OPEN], True, False, 0),
        ([OPEN, AWAY], True, False, 0),
        (["@1 11 on", KITTY], True, True, 1),  # zoomed: this pane
        (["@1 10 on", KITTY], True, False, 0),  # another
        (["@1 01 0", KITTY], False, True, 1),
        (["@1 01 off", KITTY], False, True, 1),
        (["@1 01 ", KITTY], False, True, 1),  # before 3.3: it cuts the numerals off a cell
        (["no server running"], False, False, 0),
        ([], False, False, 0),
    ],
)
def test_an_answer_is_read(lines: list[str], passes: bool, draws: bool, viewers: int) -> None:
    found = pane(*lines)
    assert (found.passes, found.draws, len(found.viewers)) == (passes, draws, viewers)


@given(st.text())
def test_any_answer_is_read(text: str) -> None:
    assert not tmux.read(text).draws or "kitty" in text.lower() or "ghostty" in text.lower()


def test_a_choice_in_tmux_asks_tmux_and_no_terminal() -> None:
    def chosen(*lines: str, setting: str = "auto", **more: str) -> Graphics:
        return choose(
            setting,
            INSIDE | more,
            lambda: pytest.fail("the terminal was asked") if setting == "auto" else "",
            lambda: DEFAULT_CELL,
            ask_tmux=lambda: answer(*lines),
        )

    open_to_kitty = chosen(OPEN, KITTY)
    assert (open_to_kitty.protocol, open_to_kitty.cell) == (PictureProtocol.KITTY, (9, 18))
    assert open_to_kitty.colours is Colours.PALETTE
    assert chosen(OPEN, KITTY, COLORTERM="truecolor").colours is Colours.TRUE
    assert chosen(OPEN, KITTY, TERM="screen").colours is Colours.PALETTE
    assert chosen(OPEN, XTERM).protocol is PictureProtocol.HALFBLOCKS
    assert chosen(OPEN, XTERM, setting="kitty").protocol is PictureProtocol.KITTY
    for lines in (["@1 01 off", KITTY], []):
        assert chosen(*lines).audience is None
        assert chosen(*lines).protocol is PictureProtocol.HALFBLOCKS
    assert chosen(OPEN, KITTY, NO_COLOR="1").protocol is PictureProtocol.HALFBLOCKS
    assert chosen(OPEN, KITTY, TMUX="").audience is None
    assert chosen(OPEN, KITTY, setting="halfblocks").audience is None


def test_a_missing_tmux_is_no_error() -> None:
    assert tmux.asker({"TMUX": "/nowhere,1,0", "TMUX_PANE": "%0", "PATH": "/nowhere"})() == ""
    assert tmux.asker({})() == ""


def test_each_message_passes_by_itself_with_its_escapes_doubled() -> None:
    noise = graphics.kitty_upload(picture_pixels(), 7, 9, 3)
    messages = noise.split("\x1b\\")[:-1]
    assert len(messages) > 2
    passed = tmux.passed(noise)
    found = re.findall(r"\x1bPtmux;((?:[^\x1b]|\x1b\x1b)*)\x1b\\", passed)
    assert "".join(f"\x1bPtmux;{one}\x1b\\" for one in found) == passed
    assert [one.replace("\x1b\x1b", "\x1b") for one in found] == [f"{m}\x1b\\" for m in messages]
    assert max(map(len, found)) < 5000


def picture_pixels():  # type: ignore[no-untyped-def]
    from PIL import Image

    return Image.effect_noise((90, 60), 90).convert("RGB")


def test_cells_carry_a_number_that_256_colours_can_say() -> None:
    numbers = [graphics.new_palette_id() for _ in range(70_000)]
    assert len(set(numbers[:61_200])) == 61_200
    assert all(1 <= number >> 24 <= 255 and 16 <= number & 255 <= 255 for number in numbers)
    assert all(number & 0xFFFF00 == 0 for number in numbers)
    number = 3 << 24 | 77
    rows = graphics.kitty_rows(number, 4, 2, of_palette=True)
    cells = [segment for row in rows for segment in row]
    numerals = graphics._numerals()
    assert {segment.text[-1] for segment in cells} == {numerals[3]}
    assert {(segment.style.color.number, segment.cell_length) for segment in cells} == {(77, 1)}  # type: ignore[union-attr]


def test_who_comes_and_goes_decides_what_is_drawn_again() -> None:
    def audience(*lines: str) -> tmux.Audience:
        return tmux.Audience(pane(*lines), str)

    one = audience(OPEN, KITTY)
    assert one.draws
    assert not one.take(pane(OPEN, KITTY))
    # 1) To another window and back: the terminal has all that was sent
    assert not one.take(pane(OPEN, KITTY.replace("@1", "@2")))
    assert one.draws
    assert not one.take(pane(OPEN, KITTY))
    # 2) but not what was sent while it looked elsewhere.
    assert not one.take(pane(OPEN, KITTY.replace("@1", "@2")))
    one.note_sent()
    assert one.take(pane(OPEN, KITTY))
    assert not one.take(pane(OPEN, KITTY))
    # 3) Detached, and attached again by a new client
    assert not one.take(pane(OPEN))
    assert one.take(pane(OPEN, KITTY.replace("12/", "77/")))
    # 4) Another terminal beside it, which draws none
    assert one.take(pane(OPEN, GHOSTTY, XTERM))
    assert not one.draws
    assert one.take(pane(OPEN, GHOSTTY))
    assert one.draws
    # 5) The permission is taken away, and given again
    assert one.take(pane("@1 01 off", GHOSTTY))
    assert not one.draws
    assert one.take(pane(OPEN, GHOSTTY))


class Tmux:
    """A tmux whose answer the test changes."""

    def __init__(self) -> None:
        self.lines = [OPEN, KITTY]

    def __call__(self) -> str:
        return answer(*self.lines)


async def test_pictures_follow_the_terminals_that_are_attached(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [picture_file("red.png", png("#c0392b", (640, 480), "ellipse"))]
    session = desk.chat("What is this?", "A shape.", files=files)
    played, written = Tmux(), list[str]()
    chosen = choose("auto", INSIDE, ask_tmux=played)
    app = PhichatApp(
        desk.engine, load_settings({}), session_id=session, graphics=chosen, clock=lambda: NOON
    )
    app.animation_level = "none"
    monkeypatch.setattr(app._gallery, "_write", written.append)

    def numbers() -> list[str]:
        """Return the numbers of uploaded pictures in their order."""
        return re.findall(r"\x1bPtmux;\x1b\x1b_Gi=(\d+),f=100", "".join(written))

    async with app.run_test(size=WIDE) as pilot:

        def is_kitty() -> bool:
            return PLACEHOLDER in shown(pilot)

        def attach(*clients: str) -> None:
            played.lines = [OPEN, *clients]
            app.post_message(TmuxAnswered(played()))

        await until(pilot, is_kitty, "kitty's cells")
        assert len(numbers()) == 1
        attach(XTERM)
        await until(pilot, lambda: "▀" in shown(pilot) and not is_kitty(), "half blocks")
        assert len(numbers()) == 1, "xterm got none"
        attach()
        attach(GHOSTTY)
        await until(pilot, is_kitty, "kitty's cells again")
        assert len(set(numbers())) == 2
        attach(KITTY.replace("12/", "99/"))
        await until(pilot, lambda: len(set(numbers())) == 3, "the picture for the new terminal")
        await until(pilot, is_kitty, "its cells")
        app.post_message(TmuxAnswered(""))  # it had no time to answer
        await until(pilot, is_kitty, "the same cells")
        assert len(screen(pilot).query(Drawing)) == 1
    freed = re.findall(r"a=d,d=I,i=(\d+)", "".join(written))
    assert sorted(freed) == sorted(numbers()), "those of earlier terminals too"
    data = re.findall(r"m=[01];([A-Za-z0-9+/=]+)", "".join(written))
    assert base64.b64decode(data[0])[1:4] == b"PNG"


async def test_a_half_block_picture_that_comes_late_replaces_no_other(desk: Desk) -> None:
    played = Tmux()
    app = desk.app()
    gallery = app._gallery
    gallery.graphics = choose("auto", INSIDE, ask_tmux=played)
    file = picture_file("red.png")
    key = gallery.key(file, 20, 10)
    of_kitty = gallery.draw(file, key)
    gallery.look_again(answer(OPEN, XTERM))
    kept = gallery.keep(key, of_kitty)
    assert kept.kitty is None, "it was drawn for a terminal that has gone"
    assert kept.number == 0
    gallery.look_again(answer(OPEN, KITTY))
    gallery.keep(key, kept)
    assert gallery.keep(key, gallery.draw(file, key)).kitty is not None
