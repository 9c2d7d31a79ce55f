"""Animated SVG of a terminal: each different row is drawn once and shown where and when it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from html import escape
from itertools import accumulate, groupby

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

CELL_W, CELL_H = 8.4, 17
"""SVG units."""
FRAME, TITLE_H = 12, 30
FONT = "ui-monospace, 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
FOREGROUND, GROUND = "#d9d5cb", "#15161a"

BLOCKS = {
    "█": (0, 0, 1, 1), "▀": (0, 0, 1, 0.5), "▄": (0, 0.5, 1, 0.5), "▌": (0, 0, 0.5, 1),
    "▐": (0.5, 0, 0.5, 1), "▊": (0, 0, 0.75, 1), "▎": (0, 0, 0.25, 1), "▔": (0, 0, 1, 0.125),
    "▁": (0, 0.875, 1, 0.125),
}  # fmt: skip
"""Left, top, width and height of the ink in characters that are drawn as rectangles."""


class Animation:
    """Frames of a terminal of ``columns`` x ``rows``, added one by one."""

    def __init__(self, columns: int, rows: int) -> None:
        self._size = columns * CELL_W, rows * CELL_H
        self._rows: dict[str, str] = {}
        """Id of each different row, by what it is drawn as."""
        self._shown: dict[tuple[str, int], list[int]] = defaultdict(list)
        """Numbers of the frames in which a row stands on a line."""
        self._seconds: list[float] = []

    def add(self, strips: Iterable[Strip], seconds: float) -> None:
        """Add a frame that stands for ``seconds``; one that repeats the last prolongs it."""
        number = len(self._seconds)
        for line, strip in enumerate(strips):
            drawn = _row(strip)
            row = self._rows.setdefault(drawn, f"r{len(self._rows)}")
            self._shown[row, line].append(number)
        self._seconds.append(seconds)

    def svg(self, title: str) -> str:
        """Return the recording; what plays no animation shows its last frame."""
        width, height = self._size[0] + 2 * FRAME, self._size[1] + TITLE_H + FRAME
        rows = "\n".join(f'<g id="{name}">{drawn}</g>' for drawn, name in self._rows.items())
        together: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for (row, line), frames in self._shown.items():
            together[tuple(frames)].append(f'<use href="#{row}" y="{line * CELL_H}"/>')
        shown = "\n".join(self._timed(frames, uses) for frames, uses in together.items())
        lights = "".join(
            f'<circle cx="{20 + 18 * n}" cy="15" r="5.5" fill="{colour}"/>'
            for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        )
        return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">
<title>{escape(title)}</title>
<style>text {{ font: 14px {FONT}; white-space: pre; fill: {FOREGROUND} }}
.b {{ font-weight: bold }} .i {{ font-style: italic }} .u {{ text-decoration: underline }}</style>
<rect width="{width:g}" height="{height:g}" rx="9" fill="#292a2f"/>{lights}
<defs>
{rows}
</defs>
<svg x="{FRAME}" y="{TITLE_H}" width="{self._size[0]:g}" height="{self._size[1]:g}">
<rect width="100%" height="100%" fill="{GROUND}"/>
{shown}
</svg>
</svg>
"""

    def _timed(self, frames: tuple[int, ...], uses: list[str]) -> str:
        """Show rows in some frames and hide them in all others."""
        total = sum(self._seconds)
        starts = [0.0, *accumulate(self._seconds)]
        states = [number in frames for number in range(len(self._seconds))]
        changes = [n for n, state in enumerate(states) if n == 0 or state != states[n - 1]]
        if len(changes) == 1:
            return f"<g>{''.join(uses)}</g>"
        times = ";".join(f"{starts[n] / total:.4f}".rstrip("0").rstrip(".") for n in changes)
        values = ";".join("visible" if states[n] else "hidden" for n in changes)
        last = "visible" if states[-1] else "hidden"
        return (
            f'<g visibility="{last}"><animate attributeName="visibility" calcMode="discrete" '
            f'dur="{total:.2f}s" repeatCount="indefinite" keyTimes="{times}" values="{values}"/>'
            f"{''.join(uses)}</g>"
        )


def _row(strip: Strip) -> str:
    """Draw a row at the origin: first the grounds, then the ink."""
    cells = [
        (character, _colours(segment), segment.style or Style())
        for segment in strip
        if not segment.control
        for character in segment.text
    ]
    grounds, ink, column = [], [], 0
    for (colours, style), run in groupby(cells, key=lambda cell: cell[1:]):
        text = "".join(character for character, _, _ in run)
        foreground, ground = colours
        width = Segment(text).cell_length
        if ground != GROUND:
            grounds.append(_rectangle(column, 0, width, 1, ground))
        for block, characters in groupby(_placed(text, column), key=lambda one: BLOCKS.get(one[0])):
            placed = list(characters)
            start, end = placed[0][1], placed[-1][1] + Segment(placed[-1][0]).cell_length
            if block is not None:
                ink += _blocks(block, start, end, foreground)
            elif words := "".join(character for character, _ in placed):
                ink += _text(words, start, end, foreground, style)
        column += width
    return "".join([*grounds, *ink])


def _placed(text: str, column: int) -> Iterable[tuple[str, int]]:
    for character in text:
        yield character, column
        column += Segment(character).cell_length


def _colours(segment: Segment) -> tuple[str, str]:
    style = segment.style or Style()
    foreground, ground = _hex(style.color, FOREGROUND), _hex(style.bgcolor, GROUND)
    return (ground, foreground) if style.reverse else (foreground, ground)


def _hex(colour: Color | None, default: str) -> str:
    return default if colour is None or colour.is_default else colour.get_truecolor().hex


def _blocks(
    block: tuple[float, float, float, float], start: int, end: int, fill: str
) -> Iterable[str]:
    left, top, width, height = block
    if width == 1:
        yield _rectangle(start, top, end - start, height, fill)
    else:
        yield from (_rectangle(n + left, top, width, height, fill) for n in range(start, end))


def _rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    # a little more than its cells, so that no seam shines through between two
    return (
        f'<rect x="{x * CELL_W:.4g}" y="{y * CELL_H:g}" width="{width * CELL_W + 0.3:.4g}" '
        f'height="{height * CELL_H + 0.3:.3g}" fill="{fill}"/>'
    )


def _text(words: str, start: int, end: int, fill: str, style: Style) -> Iterable[str]:
    before = len(words) - len(words.lstrip(" \u00a0"))
    words = words.strip(" \u00a0")
    if not words:
        return
    start += before
    width = Segment(words).cell_length * CELL_W
    kinds = {"b": style.bold, "i": style.italic, "u": style.underline}
    names = " ".join(name for name, is_on in kinds.items() if is_on)
    yield (
        f'<text x="{start * CELL_W:.4g}" y="13" textLength="{width:.4g}" class="{names}" '
        f'style="fill:{fill}">{escape(words)}</text>'
    )
