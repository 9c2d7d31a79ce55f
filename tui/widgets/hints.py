"""Hints: what keys do, in few words. They stand at the lower edge of what has the focus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from textual.content import Content

from tui.keys import Key, TurnAction

Hint = tuple[str, str]
"""A key and its word, which are never parted."""
GAP = " · "
NONE = Content("")


def hints_of(rows: Iterable[Key | TurnAction], rebound: Mapping[str, str] = {}) -> tuple[Hint, ...]:
    """Return the hints of rows that have a short word; ``rebound`` are keys from the settings."""
    return tuple(
        (rebound.get(row.name, row.shown), row.short) for row in rows if row.short and row.shown
    )


def in_one_line(hints: Sequence[Hint], room: int, before: Content = NONE) -> Content:
    """Return as many hints as ``room`` cells hold; the last two, which lead on, go last."""
    kept = list(hints)
    while len(kept) > 1 and _joined(kept, before).cell_length > room:
        kept.pop(-3 if len(kept) > 2 else 0)
    return _joined(kept, before)


def in_lines(hints: Sequence[Hint], room: int) -> Content:
    """Return all hints, in lines of ``room`` cells that end between two of them."""
    return Content("\n").join([_joined(line, NONE) for line in _lines(hints, room)])


def _lines(hints: Sequence[Hint], room: int) -> Iterator[list[Hint]]:
    line: list[Hint] = []
    for hint in hints:
        if line and _joined([*line, hint], NONE).cell_length > room:
            yield line
            line = []
        line.append(hint)
    yield line


def _joined(hints: Sequence[Hint], before: Content) -> Content:
    words = [Content.assemble((key, "bold"), " ", does) for key, does in hints]
    return Content(GAP).join([*([before] if before.plain else []), *words])
