"""Background of a container: one row, drawn once and repeated."""

from __future__ import annotations

from collections.abc import Callable

from textual.geometry import Region
from textual.strip import Strip


def ground(draw: Callable[[Region], list[Strip]], crop: Region) -> list[Strip]:
    """Draw the background rows of a container without a frame above or below: all look alike.

    Textual draws every container, also where its children cover it: some thirty rows
    of each whenever a reply grows by one. What is made of a strip is kept with it.
    """
    return draw(Region(crop.x, 0, crop.width, 1)) * crop.height
