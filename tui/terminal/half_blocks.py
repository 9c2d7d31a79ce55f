"""Pictures drawn with half cells: two pixels above each other in every character."""

from __future__ import annotations

import io
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


def decoded(data: bytes, width: int, height: int) -> Image:
    """Decode the original bytes of a picture in ``width`` x ``height`` pixels, as RGB.

    The picture is turned upright and its transparent parts lie on white, as the
    model sees them. Raises OSError or ValueError where Pillow can't read it.
    """
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (width * 4, height * 4))  # JPEG: decode small at once
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
            # 16 bits a sample: Pillow would clip instead of scaling
            picture = picture.convert("F").point(lambda value: value / 256).convert("L")
        if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(ground, picture)
        return picture.convert("RGB").resize((width, height), Image.Resampling.BOX)


def draw(data: bytes, columns: int, rows: int) -> list[Strip]:
    """Draw the original bytes of a picture in ``columns`` x ``rows`` cells; raises as above."""
    small = decoded(data, columns, rows * 2)
    pixels = small.tobytes()
    stride = columns * 3
    strips = []
    for row in range(rows):
        upper = pixels[2 * row * stride : (2 * row + 1) * stride]
        lower = pixels[(2 * row + 1) * stride : (2 * row + 2) * stride]
        strips.append(
            Strip(
                [
                    Segment("▀", _style(upper[i : i + 3], lower[i : i + 3]))
                    for i in range(0, stride, 3)
                ],
                columns,
            )
        )
    return strips


@lru_cache(maxsize=4096)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style(
        color=Color.from_triplet(ColorTriplet(*upper)),
        bgcolor=Color.from_triplet(ColorTriplet(*lower)),
    )
