"""Normal form of screenshots, the same for screens that look the same.

Textual paints a line in pieces. Whether two of one look are one piece depends on what was painted
before, which a loaded machine changes; so do the styles of blanks, of which no letter is seen.
"""

from __future__ import annotations

import re
from itertools import count

import pytest_textual_snapshot

CELL = 12.2
"""Pixels of a screenshot's column."""
_BLANKS = re.compile(r'<rect fill="([^"]+)" x="([^"]+)" y="([^"]+)" width="([^"]+)" ([^/]+/>)')
_WORDS = re.compile(
    r'<text class="([^"]+)" x="([^"]+)" y="([^"]+)" textLength="([^"]+)" ([^>]+>)([^<]*)</text>'
)
_STYLE = re.compile(r"^ *\.(terminal-r\d+) (\{.*\})\n", re.MULTILINE)

_without_ids = pytest_textual_snapshot.normalize_svg


def normal(svg: str) -> str:
    """Join pieces of one look, and number the looks of letters in the order of their use."""
    svg = _joined(_joined(_without_ids(svg), _BLANKS), _WORDS)
    styles, numbers = dict(_STYLE.findall(svg)), count(1)
    used = dict.fromkeys(match[1] for match in _WORDS.finditer(svg) if match[1] in styles)
    names = {name: f"terminal-r{next(numbers)}" for name in used}
    rules = "".join(f"    .{new} {styles[old]}\n" for old, new in names.items())
    first = _STYLE.search(svg)
    svg = _STYLE.sub("", svg)
    if first:
        svg = svg[: first.start()] + rules + svg[first.start() :]
    return re.sub(r'"(terminal-r\d+)"', lambda match: f'"{names[match[1]]}"', svg)


def _joined(svg: str, piece: re.Pattern[str]) -> str:
    """Join pieces that stand in ``svg`` one behind the other and touch each other."""
    done: list[str] = []
    at = 0
    for match in piece.finditer(svg):
        look, x, y, width, *rest = match.groups()
        words = f"{rest[1]}</text>" if len(rest) > 1 else ""
        before = piece.fullmatch(done[-1]) if done and match.start() == at else None
        if before and before.group(1, 3) == (look, y):
            end = float(before[2]) + float(before[4])
            if round(end / CELL) == round(float(x) / CELL):
                x, width = before[2], format(float(before[4]) + float(width), "g")
                words = before[6] + words if words else ""
                done.pop()
        done.append(svg[at : match.start()])
        name = "textLength" if words else "width"
        kind = "text class" if words else "rect fill"
        done.append(f'<{kind}="{look}" x="{x}" y="{y}" {name}="{width}" {rest[0]}{words}')
        at = match.end()
    return "".join([*done, svg[at:]])
