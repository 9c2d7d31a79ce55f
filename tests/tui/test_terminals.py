"""The protocol that draws pictures, with terminals that answer, lie, mumble or say nothing."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import pty
import re
import struct
import sys
import termios
from functools import partial

import pytest
from hypothesis import given, strategies as st
from PIL import Image
from textual import events
from textual._xterm_parser import XTermParser

from assistant.pictures.decode import pixels
from tests.tui.desk import png
from tests.wait import read_until
from tui import textual_fixes
from tui.terminal import graphics, half_blocks
from tui.terminal.detect import (
    ANSWER_S,
    DEFAULT_CELL,
    QUESTION,
    Colours,
    Graphics,
    PictureProtocol,
    choose,
)
from tui.themes import theme_of

KITTY = "\x1bP>|kitty(0.41.1)\x1b\\\x1b[6;18;9t\x1b[?62;c"
OLD_KITTY = KITTY.replace("0.41.1", "0.26.5")
GHOSTTY = "\x1bP>|ghostty 1.1.3\x1b\\\x1b[6;18;9t\x1b[?62;22c"
SIXEL = "\x1b[6;20;10t\x1b[?62;4;6;22c"
NEITHER = "\x1b[?1;2c"
WHITE = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\" + NEITHER
BLACK = "\x1b]11;rgb:0000/0000/0000\x07" + NEITHER
HALFBLOCKS = Graphics()


@pytest.mark.parametrize(
    ("environment", "answer", "expected"),
    [
        ({"TERM": "xterm-kitty"}, KITTY, Graphics(PictureProtocol.KITTY, (9, 18))),
        ({"TERM": "xterm-256color"}, GHOSTTY, Graphics(PictureProtocol.KITTY, (9, 18))),
        # placeholders came with 0.28
        ({"TERM": "xterm-kitty"}, OLD_KITTY, Graphics(cell=(9, 18))),
        ({"TERM": "xterm-kitty"}, KITTY.replace("kitty", "WezTerm"), Graphics(cell=(9, 18))),
        ({"TERM": "xterm-kitty"}, NEITHER, HALFBLOCKS),
        ({"TERM": "foot"}, SIXEL, Graphics(PictureProtocol.SIXEL, (10, 20))),
        ({"TERM": "xterm-256color"}, NEITHER, HALFBLOCKS),
        ({"TERM": "xterm-256color"}, "", HALFBLOCKS),
        ({"TERM": "xterm-256color"}, "\x1b[?64;14;40c", HALFBLOCKS),  # 4 is not in 14 or 40
        ({"TERM": "foot"}, "\x1b[6;0;0t" + SIXEL[10:], Graphics(PictureProtocol.SIXEL)),
    ],
)
def test_the_choice_follows_the_answer(
    environment: dict[str, str], answer: str, expected: Graphics
) -> None:
    environment = {**environment, "COLORTERM": "truecolor"}
    assert choose("auto", environment, lambda: answer, lambda: DEFAULT_CELL) == expected


def test_the_window_s_pixels_tell_the_cell_where_the_terminal_doesn_t() -> None:
    answer = "\x1b[?63;1;2;4;6c"  # xterm's, which answers the question for a cell in newer versions
    chosen = choose("auto", {"TERM": "xterm"}, lambda: answer, lambda: (6, 13))
    assert chosen == Graphics(PictureProtocol.SIXEL, (6, 13), colours=Colours.NAMED)
    named = choose("auto", {"TERM": "xterm"}, lambda: "\x1bP>|XTerm(390)\x1b\\" + answer)
    assert (named.protocol, named.colours) == (PictureProtocol.SIXEL, Colours.PALETTE)
    found = choose("auto", {"TERM": "xterm"}, lambda: SIXEL, lambda: (6, 13))
    assert found.cell == (10, 20)


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "screen-256color"},
        {"TERM": "tmux-256color"},
        {"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"},
        {"TERM": "xterm-kitty", "NO_COLOR": "1"},
        {"TERM": "xterm-kitty", "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"},
        {"TERM": "xterm-256color", "SSH_CONNECTION": "1 2 3 4"},
    ],
)
def test_half_blocks_where_it_is_not_certain_and_nothing_is_asked(
    environment: dict[str, str],
) -> None:
    chosen = choose("auto", environment, lambda: pytest.fail("it was asked"))
    assert (chosen.protocol, chosen.cell) == (HALFBLOCKS.protocol, HALFBLOCKS.cell)


BROWSER = {
    "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
    "TEXTUAL_COLOR_SYSTEM": "truecolor",
}
PAGE = Graphics(PictureProtocol.PAGE, (9, 21))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"PHICHAT_PAGE_CELL": "9x21"}, PAGE),
        ({"PHICHAT_PAGE_CELL": "9x21", "TERM": "dumb", "TMUX": "/tmp/tmux-0/default,1,0"}, PAGE),
        ({"PHICHAT_PAGE_CELL": "9x21", "NO_COLOR": "1"}, HALFBLOCKS),
        ({}, HALFBLOCKS),  # another page than ours; TERM is the server's, a service has none
        *(
            ({"PHICHAT_PAGE_CELL": cell}, HALFBLOCKS)
            for cell in ("", "0x0", "9x", "9x21\n", "9x99999", "201x20", "-9x21")
        ),
    ],
)
def test_a_page_of_phichat_serve_says_what_it_draws(
    more: dict[str, str], expected: Graphics
) -> None:
    chosen = choose("auto", BROWSER | more, lambda: pytest.fail("it was asked"))
    assert chosen == expected


def test_cells_of_a_page_number_picture_row_and_column() -> None:
    rows = graphics.page_rows(0x123456, 5, 3)
    assert [row.cell_length for row in rows] == [5, 5, 5]
    assert rows[2].text == "".join(map(chr, range(0x100000, 0x100005)))
    (cells,) = rows[2]
    assert cells.style is not None
    assert cells.style.color.triplet.hex == "#123456"  # type: ignore[union-attr]
    assert cells.style.bgcolor.triplet.hex == "#020305"  # type: ignore[union-attr]
    assert graphics.most_cells(PAGE) == (255, 255)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "linux"}, {}])
def test_words_where_nothing_can_be_drawn(environment: dict[str, str]) -> None:
    chosen = choose("auto", environment, lambda: pytest.fail("it was asked"))
    assert chosen.protocol is PictureProtocol.TEXT


@pytest.mark.parametrize("protocol", PictureProtocol)
def test_the_setting_is_obeyed_whatever_the_terminal_says(protocol: PictureProtocol) -> None:
    assert choose(str(protocol), {"TERM": "dumb"}, lambda: "").protocol is protocol


@pytest.mark.parametrize(
    ("answer", "is_light"),
    [
        (WHITE, True),
        ("\x1b]11;rgb:f6/f2/e9\x07" + NEITHER, True),
        ("\x1b]11;rgba:fdfd/f6f6/e3e3/ffff\x1b\\" + NEITHER, True),
        (BLACK, False),
        ("\x1b]11;rgb:0000/2b2b/3636\x1b\\" + NEITHER, False),
        ("\x1b]11;rgb:zz/zz/zz\x07" + NEITHER, False),
        (NEITHER, False),
        ("", False),
    ],
)
@pytest.mark.parametrize("term", [{"TERM": "xterm"}, {"TERM": "tmux-256color", "TMUX": "/tmp/x"}])
def test_the_background_is_asked_once(term: dict[str, str], answer: str, is_light: bool) -> None:
    asked = []

    def ask() -> str:
        asked.append(answer)
        return answer

    assert choose("auto", term, ask, needs_background=True).is_light is is_light
    assert len(asked) == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"TERM": "linux"},
        {"TERM": "xterm", "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"},
        {"TERM": "xterm", "SSH_CONNECTION": "1 2 3 4"},
        {"TERM": "tmux-256color", "TMUX": "/tmp/x,1,0", "SSH_CONNECTION": "1 2 3 4"},
    ],
)
def test_the_background_is_not_asked_where_an_answer_may_come_late(
    environment: dict[str, str],
) -> None:
    ask = partial(pytest.fail, "it was asked")
    assert not choose("auto", environment, ask, needs_background=True).is_light


@pytest.mark.parametrize(
    ("setting", "is_light", "colours", "name"),
    [
        ("auto", True, Colours.TRUE, "phichat-paper"),
        ("auto", False, Colours.PALETTE, "phichat-ink"),
        ("auto", True, Colours.NAMED, "phichat-ansi"),
        ("phichat-ink", True, Colours.PALETTE, "phichat-ink"),
        ("phichat-ink", False, Colours.NAMED, "phichat-ansi"),
        ("phichat-ansi", False, Colours.TRUE, "phichat-ansi"),
        ("nord", True, Colours.TRUE, "phichat-paper"),  # offered no longer
    ],
)
def test_the_theme_follows_the_terminal_unless_one_was_chosen(
    setting: str, is_light: bool, colours: Colours, name: str
) -> None:
    assert theme_of(setting, Graphics(is_light=is_light, colours=colours)) == name


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm"}, Colours.NAMED),
        ({"TERM": "linux"}, Colours.NAMED),
        ({}, Colours.NAMED),
        ({"TERM": "xterm-256color"}, Colours.PALETTE),
        ({"TERM": "tmux-256color"}, Colours.PALETTE),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, Colours.TRUE),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, Colours.TRUE),
        ({"TERM": "xterm-256color", "COLORTERM": "yes"}, Colours.PALETTE),
        ({"TEXTUAL_COLOR_SYSTEM": "truecolor"}, Colours.TRUE),  # a browser
        ({"TERM": "xterm-kitty", "SSH_CONNECTION": "1 2 3 4"}, Colours.TRUE),
        ({"TERM": "xterm-direct"}, Colours.TRUE),
    ],
)
def test_the_number_of_colours_is_read_from_the_environment(
    environment: dict[str, str], colours: Colours
) -> None:
    assert choose("auto", environment, str, lambda: DEFAULT_CELL).colours is colours


def test_a_terminal_that_draws_by_placeholders_has_all_colours() -> None:
    """The placeholders carry the numbers of pictures in them."""
    assert choose("auto", {"TERM": "xterm"}, lambda: GHOSTTY).colours is Colours.TRUE


@pytest.mark.parametrize(
    ("answer", "typed"),
    [
        (KITTY, ""),
        ("what" + KITTY + " is 1?", "what is 1?"),
        ("wer ist größer?\n" + SIXEL, "wer ist größer?\n"),
        ("typed\x1b[6;18", "typed"),
        ("typed", "typed"),
    ],
)
def test_what_was_typed_before_the_answer_is_kept(answer: str, typed: str) -> None:
    assert choose("auto", {"TERM": "xterm"}, lambda: answer, lambda: DEFAULT_CELL).typed == typed


CHOOSING = """
import json
from tui.terminal.detect import choose
chosen = choose("auto")
print("CHOSE", json.dumps([chosen.protocol, chosen.cell]), flush=True)
"""


def choice_of(
    terminal_answers: bytes | None,
    columns: int = 80,
    term: str = "xterm-kitty",
    pixels: tuple[int, int] = (0, 0),
) -> tuple[str, list[int], str]:
    """Choose in a process whose terminal gives this answer: (protocol, cell, its text)."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, *pixels))
        for name in ("TMUX", "NO_COLOR", "TEXTUAL_DRIVER", "SSH_CONNECTION", "SSH_TTY"):
            os.environ.pop(name, None)
        os.environ["TERM"] = term
        os.execv(sys.executable, [sys.executable, "-c", CHOOSING])

    def is_chosen(written: bytes) -> bool:
        return b"CHOSE" in written and written.endswith(b"\n")

    written = read_until(terminal, lambda text: QUESTION.encode() in text or is_chosen(text))
    if terminal_answers and not is_chosen(written):
        os.write(terminal, terminal_answers)
    written = read_until(terminal, is_chosen, written)
    os.waitpid(pid, 0)
    os.close(terminal)
    text = written.decode(errors="replace")
    protocol, cell = json.loads(text.partition("CHOSE ")[2])
    return protocol, cell, text


def test_a_real_terminal_that_answers() -> None:
    protocol, cell, text = choice_of(KITTY.encode())
    assert (protocol, cell) == ("kitty", [9, 18])
    assert "OK" not in text.replace(QUESTION, "")  # the answer was not echoed


@pytest.mark.parametrize(
    "answer",
    [None, b"hello\r", b"\x1b[6;;t\x1b[?c", b"\xff\xfe\x00\x1b_G" + b"x" * 3000, b"\x1b[?9999"],
    ids=["silent", "typing", "empty", "noise", "half"],
)
def test_a_real_terminal_that_does_not(answer: bytes | None) -> None:
    protocol, cell, _ = choice_of(answer)
    assert (protocol, tuple(cell)) == ("halfblocks", DEFAULT_CELL)


@pytest.mark.parametrize(
    ("pixels", "cell"),
    [((722, 460), [9, 19]), ((0, 0), [10, 20]), ((60_000, 60_000), [10, 20]), ((3, 3), [10, 20])],
)
def test_a_real_terminal_that_tells_its_pixels_to_the_kernel(
    pixels: tuple[int, int], cell: list[int]
) -> None:
    assert choice_of(b"\x1b[?63;1;2;4;6c", pixels=pixels)[:2] == ("sixel", cell)


def test_a_real_terminal_without_columns_is_not_asked() -> None:
    protocol, _, text = choice_of(KITTY.encode(), columns=0)
    assert protocol == "halfblocks"
    assert QUESTION not in text


def test_waiting_has_an_end() -> None:
    assert ANSWER_S <= 0.2


# Keys


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b\r", ["alt+enter"]),
        ("\r", ["enter"]),
        ("\n", ["ctrl+j"]),
        ("\x1b[13;2u", ["shift+enter"]),  # with the kitty keyboard protocol
        ("\x1b[13;3u", ["alt+enter"]),
        ("a\x1b\rb", ["a", "alt+enter", "b"]),
        ("\x1blo\x1b[A", ["alt+l", "o", "up"]),  # esc, a word, up: read at once on a busy machine
        ("\x1bf\x1bb\x1bOP", ["ctrl+right", "ctrl+left", "f1"]),
    ],
)
def test_what_terminals_send_for_enter_and_its_relatives(sent: str, keys: list[str]) -> None:
    textual_fixes.apply()
    parser = XTermParser()
    found = [event.key for event in parser.feed(sent) if isinstance(event, events.Key)]
    assert found == keys


@pytest.mark.parametrize(
    "answer", [KITTY, OLD_KITTY, GHOSTTY, SIXEL, NEITHER, WHITE, BLACK, "\x1b[?63;1;2c"]
)
def test_an_answer_that_comes_late_is_not_typed_into_the_composer(answer: str) -> None:
    textual_fixes.apply()
    parser = XTermParser()
    found = list(parser.feed(answer))
    found += [*parser.feed(f"a{answer}b"), *parser.feed("\x1b[A")]
    assert [event.key for event in found if isinstance(event, events.Key)] == ["a", "b", "up"]


# What is written


def picture(color: str, size: tuple[int, int]) -> Image.Image:
    return pixels(png(color, size), size)


def test_kitty_s_messages_carry_the_picture_in_chunks() -> None:
    noise = Image.effect_noise((90, 60), 90).convert("RGB")
    sequence = graphics.kitty_upload(noise, 7, 9, 3)
    messages = re.findall(r"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\", sequence)
    assert "".join(f"\x1b_G{c};{d}\x1b\\" if d else f"\x1b_G{c}\x1b\\" for c, d in messages) == (
        sequence
    )
    *data, placement = messages
    assert len(data) > 1
    assert all(len(piece) <= 4096 for _, piece in data)
    assert [controls[-1] for controls, _ in data] == ["1"] * (len(data) - 1) + ["0"]
    assert data[0][0].startswith("i=7,f=100,q=2")
    assert placement[0] == "a=p,U=1,i=7,c=9,r=3,q=2"
    png_data = base64.b64decode("".join(piece for _, piece in data))
    with Image.open(io.BytesIO(png_data)) as sent:
        assert sent.convert("RGB").tobytes() == noise.tobytes()


def test_kitty_s_cells_name_the_picture_by_their_colour_and_number_themselves() -> None:
    rows = graphics.kitty_rows(0x0A0B0C, 4, 2)
    assert [row.cell_length for row in rows] == [4, 4]
    cells = [segment for row in rows for segment in row]
    assert len({segment.text for segment in cells}) == 8
    assert all(len(segment.text) == 3 and segment.cell_length == 1 for segment in cells)
    assert {segment.style.color.triplet for segment in cells} == {(10, 11, 12)}  # type: ignore[union-attr]
    assert rows[1].crop(1, 3).text == "".join(s.text for s in list(rows[1])[1:3])


def test_importing_kitty_s_table_asks_the_terminal_nothing() -> None:
    graphics._numerals.cache_clear()
    program = "from tui.terminal import graphics; graphics._numerals(); print('DONE', flush=True)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    written = read_until(terminal, lambda text: b"DONE" in text)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert b"\x1b" not in written


def test_loading_kitty_s_table_leaves_standard_output_in_place() -> None:
    """Another thread that asks for the terminal's size meanwhile got 80 x 24 for ever."""
    graphics._numerals.cache_clear()
    seen = []

    class Spy:
        def find_spec(self, *_: object) -> None:
            seen.append(sys.__stdout__)

    sys.meta_path.insert(0, Spy())  # type: ignore[arg-type]
    modules = [name for name in sys.modules if name.startswith("textual_image")]
    kept = {name: sys.modules.pop(name) for name in modules}
    try:
        assert len(graphics._numerals()) == graphics.MOST_CELLS
    finally:
        sys.meta_path.pop(0)
        sys.modules.update(kept)
    assert seen
    assert all(stream is sys.__stdout__ for stream in seen)


def test_a_sixel_picture_lies_over_its_last_row_and_takes_no_cell() -> None:
    rows = half_blocks.draw(picture("teal", (4, 4)))
    data = graphics.sixel(picture("teal", (40, 40)))
    assert data.startswith("\x1bP")
    assert data.endswith("\x1b\\")
    row = graphics.with_sixel(rows[-1], data, 10, 5)
    assert row.cell_length == 4
    assert list(row)[-1].text == f"\x1b7\x1b[6;11H{data}\x1b8"


def test_a_sixel_picture_defines_all_its_colours_before_it_draws() -> None:
    """In xterm a definition alone doesn't choose its colour for what is drawn next."""
    noise = Image.effect_noise((90, 60), 90).convert("RGB")
    data = graphics.sixel(noise)
    colours = re.findall(r"#\d+(?:;2;\d+;\d+;\d+)?", data)
    defined = [";" in colour for colour in colours]
    assert any(defined)
    assert defined == sorted(defined, reverse=True)
    numbers = {colour.partition(";")[0] for colour in colours if ";" in colour}
    assert {colour for colour in colours if ";" not in colour} == numbers


@pytest.mark.parametrize("protocol", [PictureProtocol.KITTY, PictureProtocol.SIXEL])
def test_a_picture_is_never_larger_than_its_protocol_can_draw(protocol: PictureProtocol) -> None:
    columns, rows = graphics.most_cells(Graphics(protocol, (9, 18)))
    if protocol is PictureProtocol.KITTY:
        assert len(graphics.kitty_rows(1, columns, rows)) == rows
    else:
        assert columns * 9 <= graphics.MOST_SIXEL_PIXELS >= rows * 18


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(5, 40), st.integers(5, 40))
def test_a_picture_keeps_its_shape_in_cells_of_any_shape(
    width: int, height: int, cell_width: int, cell_height: int
) -> None:
    columns, rows = half_blocks.fit(width, height, 80, 40, (cell_width, cell_height))
    assert 1 <= columns <= 80
    assert 1 <= rows <= 40
    # Exact but for the rounding to whole cells.
    wide, high = columns * cell_width, rows * cell_height
    assert abs(wide * height - high * width) <= height * cell_width + width * cell_height
