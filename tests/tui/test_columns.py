"""Rows whose signs the terminal draws wider or narrower than Textual counts them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.terminal import columns

BOLD = Style(bold=True)
CONTROLS = re.compile(r"\x1b(?:[78]|\[[0-9;?]*[A-Za-z])|.", re.DOTALL)


def one_by_one(sign: str) -> int:
    """Count as xterm, VTE and tmux do: a joined emoji is as wide as its parts together."""
    if sign in "\u200d\ufe0f" or unicodedata.category(sign) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) == "W" else 1


def narrow(sign: str) -> int:
    """Count one cell for anything that is not ASCII, and none for what combines."""
    return min(1, one_by_one(sign))


def drawn(data: str, width: Callable[[str], int], start: int = 5) -> dict[int, str]:
    """Return what stands in each column of a row that begins at ``start``."""
    cells = dict.fromkeys(range(start, start + 30), "old")
    column = saved = start
    for piece in CONTROLS.findall(data):
        number = int("".join(filter(str.isdigit, piece)) or 0) if piece[0] == "\x1b" else 0
        if piece == columns.SAVE:
            saved = column
        elif piece == columns.RESTORE:
            column = saved
        elif piece[0] == "\x1b" and piece[-1] in "CD":
            column += number if piece[-1] == "C" else -number
        elif piece[0] != "\x1b":
            for place in range(width(piece)):
                cells[column + place] = piece if not place else ""
            column += width(piece)
    return cells


@pytest.mark.parametrize("width", [one_by_one, narrow])
@pytest.mark.parametrize("sign", ["⚠️", "👨\u200d👩\u200d👧", "👍🏽", "1️⃣", "हिन्दी", "🇩🇪", "x"])
def test_what_follows_a_sign_stands_in_its_column(sign: str, width: Callable[[str], int]) -> None:
    """The lines of tables jumped where a cell had ✔️ or ⚠️."""
    strip = Strip([Segment(f"a {sign} ", BOLD), Segment("│ b"), Segment(" " * 12)])
    row = drawn(strip_rendered(strip), width)
    column = 5 + Segment(f"a {sign} ").cell_length
    assert "".join(row[column + place] for place in range(3)) == "│ b"
    assert "old" not in [row[place] for place in range(5, 5 + strip.cell_length)]


def test_plain_rows_are_as_textual_renders_them() -> None:
    strip = Strip([Segment("a 日本 é", BOLD), Segment("b")])
    assert strip_rendered(strip) == columns._render(Strip(list(strip)), Console())


def strip_rendered(strip: Strip) -> str:
    return columns.render(strip, Console(color_system="truecolor"))
