"""Encoders of kitty and Sixel pictures, which are textual-image's.

Its widgets are not used: they write to the terminal beside Textual's own writer, so that
two sequences may end up in each other, and its Sixel widget encodes again at every step of
scrolling. docs/architecture.md says in which terminals these two were looked at.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from random import randint
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import ControlType, Segment
from rich.style import Style
from textual.strip import Strip

from tui.terminal.detect import PAGE_PICTURE, Graphics, PictureProtocol

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 4096
"""Base64 characters in one kitty message, by its specification."""
PLACEHOLDER = "\U0010eeee"
MOST_CELLS = 297
"""Rows and columns that kitty's placeholders can number."""
MOST_PAGE_CELLS = 255
"""Rows and columns that the cells of a page of phichat serve can number: a byte each."""
FIRST_COLUMN = 0x100000
"""Character of a page's first column, in a private plane of Unicode; the others' follow it."""
MOST_SIXEL_PIXELS = 1000
"""Width and height that xterm draws unless ``maxGraphicSize`` says otherwise."""
SIXEL_COLOURS = 256
FRAME_LINE = 4
"""Pixels of the line of a bold frame."""
_SIXEL_COLOUR = re.compile(r"(#\d+);2;\d+;\d+;\d+")

# Rich writes the first 16 colours as names, which a theme may change.
_FIRST_PALETTE_ID, _PALETTE_IDS = 16, 240
# Pictures that another program left in the terminal have other numbers, most likely.
_ids = count(randint(1, 2**23))


@cache
def _numerals() -> tuple[str, ...]:
    """Return kitty's combining characters that number rows and columns."""
    package = find_spec("textual_image")
    assert package is not None
    assert package.submodule_search_locations is not None
    # Without its package, which asks the terminal questions as soon as it is imported.
    path = Path(package.submodule_search_locations[0]) / "renderable" / "tgp.py"
    spec = spec_from_file_location("_kitty_numerals", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(map(chr, module._NUMBER_TO_DIACRITIC))


def new_id() -> int:
    """Return a number for a picture in the terminal: 24 bits, so that a colour can carry it."""
    return next(_ids) % 2**24 or next(_ids) % 2**24


def new_palette_id() -> int:
    """Return a number for a picture that a colour of 256 and a third numeral can carry.

    tmux passes those on whatever it believes of the terminal; other colours only where it believes
    that there are more.
    """
    place = next(_ids)
    return (place // _PALETTE_IDS % 255 + 1) << 24 | _FIRST_PALETTE_ID + place % _PALETTE_IDS


def kitty_upload(image: Image, number: int, columns: int, rows: int) -> str:
    """Return the messages that send a picture to the terminal, to be shown by placeholders."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=2)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    messages = []
    for index, chunk in enumerate(chunks):
        more = int(index + 1 < len(chunks))
        first = f"i={number},f=100,q=2," if index == 0 else "q=2,"
        messages.append(f"\x1b_G{first}m={more};{chunk}\x1b\\")
    messages.append(f"\x1b_Ga=p,U=1,i={number},c={columns},r={rows},q=2\x1b\\")
    return "".join(messages)


def kitty_forget(number: int) -> str:
    """Return the message that frees a picture in the terminal."""
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"


def kitty_rows(number: int, columns: int, rows: int, *, of_palette: bool = False) -> list[Strip]:
    """Return the cells that stand for an uploaded picture: its number is their colour.

    ``of_palette`` is for a number of :func:`new_palette_id`.
    """
    assert columns <= MOST_CELLS
    assert rows <= MOST_CELLS
    numerals = _numerals()
    colour = Color.from_triplet(ColorTriplet(number >> 16 & 255, number >> 8 & 255, number & 255))
    upper = ""
    if of_palette:
        colour, upper = Color.from_ansi(number & 255), numerals[number >> 24]
    style = Style(color=colour)
    return [
        Strip(
            [
                Segment(PLACEHOLDER + numerals[row] + numerals[column] + upper, style)
                for column in range(columns)
            ],
            columns,
        )
        for row in range(rows)
    ]


def page_upload(image: Image, number: int) -> str:
    """Return the message that gives a picture to the page of phichat serve, which takes it out."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=2)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"{PAGE_PICTURE}{number};{data}\x1b\\"


def page_forget(number: int) -> str:
    """Return the message that frees a picture of the page."""
    return f"{PAGE_PICTURE}{number};\x1b\\"


def page_rows(number: int, columns: int, rows: int) -> list[Strip]:
    """Return the cells over which the page lays a picture.

    The character numbers the column, the text's colour the picture, the background the row
    among how many rows and columns.
    """
    cells = "".join(chr(FIRST_COLUMN + column) for column in range(columns))
    colour = Color.from_rgb(number >> 16, number >> 8 & 255, number & 255)
    return [
        Strip([Segment(cells, Style(color=colour, bgcolor=Color.from_rgb(row, rows, columns)))],
              columns)
        for row in range(rows)
    ]  # fmt: skip


def most_cells(chosen: Graphics) -> tuple[int, int]:
    """Return the most columns and rows of a picture in this protocol."""
    if chosen.protocol is PictureProtocol.SIXEL:
        width, height = chosen.cell
        return max(1, MOST_SIXEL_PIXELS // width), max(1, MOST_SIXEL_PIXELS // height)
    if chosen.protocol is PictureProtocol.PAGE:
        return MOST_PAGE_CELLS, MOST_PAGE_CELLS
    return MOST_CELLS, MOST_CELLS


def sixel(image: Image) -> str:
    """Encode a picture as a Sixel sequence. Slow: a third of a second of CPU for a large one.

    The colours are ours: those that textual-image chooses show as coarse patches. They are
    defined before anything is drawn, because in xterm a definition doesn't choose a colour.
    """
    from PIL.Image import Dither
    from textual_image._sixel import image_to_sixels

    palette = image.quantize(SIXEL_COLOURS)
    data = image_to_sixels(image.quantize(palette=palette, dither=Dither.FLOYDSTEINBERG))
    start = data.index("#")
    definitions = "".join(found[0] for found in _SIXEL_COLOUR.finditer(data))
    return data[:start] + definitions + _SIXEL_COLOUR.sub(r"\1", data[start:])


def with_frames(
    image: Image, frames: Sequence[tuple[tuple[int, int, int, int], str, Style]], text_height: int
) -> Image:
    """Return a picture with lines around boxes (left, top, width, height), labels within them.

    Lines have the style's background between two of its colour, so they are seen on any ground.
    """
    from PIL import ImageDraw, ImageFont

    framed = image.copy()
    draw = ImageDraw.Draw(framed)
    font = ImageFont.load_default(text_height * 0.8)
    for (left, top, width, height), label, style in frames:
        ink, ground = (
            tuple(colour.get_truecolor()) if colour else "black"
            for colour in (style.color, style.bgcolor)
        )
        wide = FRAME_LINE if style.bold else 1
        right, low = left + max(2, width - 1), top + max(2, height - 1)
        draw.rectangle((left, top, right, low), outline=ink, width=wide + 2)
        draw.rectangle((left + 1, top + 1, right - 1, low - 1), outline=ground, width=wide)
        if label:
            place = left + wide + 3, top + wide + 3
            draw.rectangle(draw.textbbox(place, label, font), ground)
            draw.text(place, label, ink, font)
    return framed


def with_sixel(row: Strip, data: str, x: int, y: int) -> Strip:
    """Append a Sixel picture, drawn from the cell ``x``, ``y``, to its last row of cells."""
    sequence = f"\x1b7\x1b[{y + 1};{x + 1}H{data}\x1b8"
    control = Segment(sequence, None, [(ControlType.CURSOR_FORWARD, 0)])
    return Strip([*row, control], row.cell_length)
