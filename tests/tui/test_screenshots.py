"""Screenshots in their normal form: what looks the same is the same, and nothing else is."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from tests.tui.screenshots import normal

Pieces = list[tuple[str, str]]

WHOLE: Pieces = [("one two", "red on blue"), ("     ", "red on blue"), ("three", "bold on blue")]


def _drawn(pieces: Pieces) -> str:
    console = Console(width=30, file=io.StringIO(), force_terminal=True, record=True)
    for piece in pieces:
        console.print(Text(*piece), end="")
    console.print()
    return console.export_svg(title="phichat")


def test_pieces_of_one_look_are_one() -> None:
    pieces: Pieces = [
        ("one ", "red on blue"),
        ("two", "red on blue"),
        ("   ", "green on blue"),
        ("  ", "red on blue"),
        ("thr", "bold on blue"),
        ("ee", "bold on blue"),
    ]
    assert _drawn(pieces) != _drawn(WHOLE)
    assert normal(_drawn(pieces)) == normal(_drawn(WHOLE))
    assert normal(normal(_drawn(WHOLE))) == normal(_drawn(WHOLE))


def test_another_colour_word_or_ground_is_another_screenshot() -> None:
    for at, piece in (
        (0, ("one two", "green on blue")),
        (0, ("one tow", "red on blue")),
        (1, ("     ", "red on green")),
        (2, ("three", "on blue")),
    ):
        changed = [*WHOLE]
        changed[at] = piece
        assert normal(_drawn(changed)) != normal(_drawn(WHOLE))
