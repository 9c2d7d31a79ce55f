"""Into how many crops a picture is cut: detail against room. Arithmetic only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from assistant.phi3v.crops import crop_grid
from assistant.values.conversation import Picture

CROPS = (16, 9, 4, 1)
"""What the automatic choice steps down through: squares of the picture's side in crops."""

COMFORT = 1 / 3
"""The share of the prompt that the pictures of one turn may take before they get fewer crops: three
turns with pictures can be talked about together. No more is saved than that, because fewer crops
lose small print."""


def choose(
    pictures: Sequence[Picture],
    cost: Callable[[Sequence[int]], int],
    *,
    default: int,
    budget: int,
    room: int,
) -> tuple[int, ...] | None:
    """How many crops each picture of one turn may have; None when they can't fit even at one.

    ``cost`` tells the positions of all pictures at so many crops each. ``budget``
    is the positions of a whole prompt, ``room`` what is left of it for these
    pictures. A number that stands with a picture is kept. The others get
    ``default``, or as much less, all the same, as brings the turn's pictures
    down to :data:`COMFORT`; one crop is the least.
    """
    steps = (default, *(crops for crops in CROPS if crops < default))
    for step in steps:
        crops = tuple(picture.num_crops or step for picture in pictures)
        if cost(crops) <= min(room, budget * COMFORT):
            return crops
    return crops if cost(crops) <= room else None


def seeable(width: int, height: int, num_crops: int) -> int:
    """``num_crops``, or the next number at which a very long picture does not vanish.

    Raises ValueError when it does at every number.
    """
    for limit in (num_crops, *(more for more in reversed(CROPS) if more > num_crops)):
        try:
            crop_grid(width, height, limit)
        except ValueError:
            continue
        return limit
    raise ValueError("too thin to be seen")


def covering(width: int, height: int, num_crops: int) -> int:
    """The least of the steps at which a picture is not made smaller; ``num_crops`` at most.

    A server's pictures are never enlarged, as Phi-3-vision's are: more crops would say nothing.
    """
    for limit in reversed(CROPS):
        if limit >= num_crops:
            break
        with suppress(ValueError):  # so long that it vanishes at this step
            grid = crop_grid(width, height, limit)
            if width <= grid.width and height <= grid.height:
                return limit
    return num_crops
