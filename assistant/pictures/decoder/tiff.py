"""Pages of TIFF files, by Pillow. Runs in the decoder process alone."""

from __future__ import annotations

from PIL import Image

from assistant.pictures.colour import as_seen
from assistant.pictures.decode import MAX_PIXELS
from assistant.pictures.decoder.films import animation
from assistant.values.errors import PictureError

_KIND = 254
"""Tag that says what a picture of the file is."""
_NO_PAGE = 1 | 4
"""Bits of it: a smaller copy of a page, a mask."""


def count(data: bytes, label: str) -> int:
    """Count the pages. Raises PictureError."""
    with animation(data, label) as image:
        return len(_places(image))


def page(data: bytes, number: int, longest: int, label: str) -> Image.Image:
    """Decode a page as it is seen, scaled down to ``longest`` pixels (0: as it is stored)."""
    with animation(data, label) as image:
        image.seek(_places(image)[number - 1])
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(f"{label} has too many pixels; scale it down first.")
        seen = as_seen(image)
        if longest:
            seen.thumbnail((longest, longest))
        return seen


def _places(image: Image.Image) -> list[int]:
    """Return the places of the pages among the pictures of a file."""
    found = []
    for place in range(getattr(image, "n_frames", 1)):
        image.seek(place)
        if not getattr(image, "tag_v2", {}).get(_KIND, 0) & _NO_PAGE:
            found.append(place)
    return found or [0]
