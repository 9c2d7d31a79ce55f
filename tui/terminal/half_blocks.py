"""Half-block pictures: two pixels above each other in every cell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_COLUMNS = 40
MOST_ROWS = 14


def fit(
    width: int, height: int, columns: int, rows: int, cell: tuple[int, int] = (1, 2)
) -> tuple[int, int]:
    """Return the columns and rows that a picture of ``width`` x ``height`` pixels takes.

    The aspect ratio is kept, with cells of the shape ``cell`` (width, height), and a small
    picture takes no more than a column for a pixel.
    """
    tall = cell[1] / cell[0]
    scale = min(columns / width, tall * rows / height, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale / tall))


def draw(picture: Image) -> list[Strip]:
    """Draw RGB pixels, two above each other in a cell; the height is even."""
    pixels, stride = picture.tobytes(), picture.width * 3
    strips = []
    for start in range(0, len(pixels), 2 * stride):
        upper, lower = pixels[start : start + stride], pixels[start + stride : start + 2 * stride]
        cells = [
            Segment("▀", _style(upper[i : i + 3], lower[i : i + 3])) for i in range(0, stride, 3)
        ]
        strips.append(Strip(cells, picture.width))
    return strips


@lru_cache(maxsize=4096)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style(
        color=Color.from_triplet(ColorTriplet(*upper)),
        bgcolor=Color.from_triplet(ColorTriplet(*lower)),
    )
