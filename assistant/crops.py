"""Into how many crops a picture is cut: detail against room. Arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.conversation import Picture, PictureFile
from assistant.phi3v.geometry import crop_grid

CROPS = (16, 9, 4, 1)
"""What the automatic choice steps down through: squares of the picture's side in crops."""

COMFORT = 1 / 3
"""The share of the prompt that the pictures of one turn may take before they get fewer crops: three
turns with pictures can be talked about together. Nothing is saved beyond that, because fewer crops
lose small print."""


def picture_tokens(picture: Picture | PictureFile, num_crops: int, num_img_tokens: int) -> int:
    """Positions of a picture at no more than ``num_crops``. Raises ValueError if it is too thin."""
    return crop_grid(picture.width, picture.height, num_crops).tokens(num_img_tokens)


def choose(
    pictures: Sequence[Picture | PictureFile],
    *,
    default: int,
    num_img_tokens: int,
    budget: int,
    room: int,
) -> tuple[int, ...] | None:
    """How many crops each picture of one turn may have; None when they can't fit even at one.

    ``budget`` is the positions of a whole prompt, ``room`` what is left of it
    for these pictures. A choice that stands with a picture is kept. The others
    get ``default``, or as much less, all the same, as brings the turn's
    pictures down to :data:`COMFORT`; one crop is the least.
    """

    def cost(crops: Sequence[int]) -> int:
        return sum(
            picture_tokens(picture, limit, num_img_tokens)
            for picture, limit in zip(pictures, crops, strict=True)
        )

    steps = (default, *(crops for crops in CROPS if crops < default))
    for step in steps:
        crops = tuple(picture.num_crops or step for picture in pictures)
        if cost(crops) <= min(room, budget * COMFORT):
            return crops
    least = tuple(picture.num_crops or steps[-1] for picture in pictures)
    return least if cost(least) <= room else None
