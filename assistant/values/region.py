"""Regions: rectangles of a picture that are cut out as pictures of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.values.errors import PictureError

_SIDE = r" ?\d{1,9}(?:\.\d{1,9})?%? ?"
_SUFFIX = re.compile(rf"@((?:{_SIDE},){{3}}{_SIDE})$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of another picture, in pixels of that one as seen.

    ``sha256`` names the original bytes of that one, which is never a region itself. ``number`` is
    its number in the session, 0 where it is in none.
    """

    sha256: str
    left: int
    top: int
    width: int
    height: int
    number: int = 0

    @property
    def typed(self) -> str:
        """The rectangle as a user types it."""
        return f"{self.left},{self.top},{self.width},{self.height}"


Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


def split_region(source: str) -> tuple[str, str]:
    """Split ``photo.jpg@10,20,300,300`` into the picture and its rectangle; "" where none is."""
    found = _SUFFIX.search(source.rstrip())
    return (source[: found.start()], found[1]) if found and found.start() else (source, "")


def box_of(typed: str, width: int, height: int, name: str) -> Box:
    """Return the rectangle that was typed, in a picture of ``width`` x ``height`` pixels.

    Each of left, top, width and height is pixels or a percentage. What lies beyond the picture is
    cut off. Raises PictureError where nothing is left.
    """
    if not _SUFFIX.fullmatch(f"@{typed}"):
        raise PictureError(
            f"“{typed}” is no part of a picture: give left,top,width,height in pixels or percent."
        )
    left, top, wide, high = (
        float(value.strip().rstrip("%")) * (side / 100 if "%" in value else 1)
        for value, side in zip(typed.split(","), (width, height, width, height), strict=True)
    )
    right, bottom = min(round(left + wide), width), min(round(top + high), height)
    box = round(left), round(top), right - round(left), bottom - round(top)
    if box[2] < 1 or box[3] < 1:
        raise PictureError(
            f"The part {typed} of {name} is empty: that picture has {width} x {height} pixels."
        )
    return box
