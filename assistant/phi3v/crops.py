"""Arithmetic of the HD transform: the crops of a picture and its positions in the prompt.

Source: ``HD_transform`` and ``calc_num_image_tokens`` of the reference image processor. Imports
nothing heavy, so that the terminal app can count tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CROP = 336
"""Side of a square crop in pixels, the input size of CLIP ViT-L/14-336."""

CROP_BATCH = 4
"""Crops in one pass of the vision tower at most: bounds activation memory."""


def crop_batch(device_kind: str) -> int:
    """Return the crops in one pass of the tower: a stop waits for it, and it is what a stop keeps.

    On a CPU one crop has as many patches as the products can use: four take four times as long.
    """
    return 1 if device_kind == "cpu" else CROP_BATCH


@dataclass(frozen=True, slots=True)
class CropGrid:
    """A ``rows`` x ``columns`` grid of crops; the global view comes on top of it.

    ``width`` and ``height`` are the pixels of the resized and padded picture.
    """

    rows: int
    columns: int

    @property
    def height(self) -> int:
        return self.rows * CROP

    @property
    def width(self) -> int:
        return self.columns * CROP

    @property
    def crops(self) -> int:
        """Crops that run through the vision tower, the global view included."""
        return self.rows * self.columns + 1

    def tokens(self, num_img_tokens: int = 144) -> int:
        """Count the positions that the picture takes in the prompt.

        ``num_img_tokens`` are the positions of one crop after the 2 x 2 merge (144 = 12 x 12 for
        the real model). A separator ends every feature row, and one more stands between the crops
        and the global view: ``(rows * columns + 1) * n + 1 + (rows + 1) * sqrt(n)``.
        """
        side = math.isqrt(num_img_tokens)
        if side * side != num_img_tokens:
            raise ValueError(f"num_img_tokens must be a square number, not {num_img_tokens}")
        return self.crops * num_img_tokens + 1 + (self.rows + 1) * side


@dataclass(frozen=True, slots=True)
class HDPlan:
    """Steps that bring a picture to the size of its crop grid.

    A landscape picture (a portrait one is ``transposed`` first) is resized to ``resized`` (width,
    height) and padded with ``top`` white rows above and the rest below.
    """

    transposed: bool
    resized: tuple[int, int]
    top: int
    padded_height: int

    @property
    def grid(self) -> CropGrid:
        """The crop grid in the picture's own orientation."""
        long, short = self.resized[0] // CROP, self.padded_height // CROP
        return CropGrid(rows=long, columns=short) if self.transposed else CropGrid(short, long)


def plan_hd(width: int, height: int, num_crops: int) -> HDPlan:
    """Plan the HD transform of a ``width`` x ``height`` picture with at most ``num_crops`` crops.

    Raises ValueError for a picture so thin that its short side vanishes (longer than 336 x scale
    times its short side), like the reference.
    """
    if width < 1 or height < 1 or num_crops < 1:
        raise ValueError("height and width must be > 0")
    transposed = width < height
    long, short = (height, width) if transposed else (width, height)
    ratio = long / short
    scale = 1
    while scale * math.ceil(scale / ratio) <= num_crops:
        scale += 1
    scale -= 1
    new_long = scale * CROP
    new_short = int(new_long / ratio)
    if new_short == 0:
        raise ValueError("height and width must be > 0")
    padded = math.ceil(new_short / CROP) * CROP
    return HDPlan(transposed, (new_long, new_short), (padded - new_short) // 2, padded)


def crop_grid(width: int, height: int, num_crops: int) -> CropGrid:
    """Return the crop grid of a ``width`` x ``height`` picture; raises as :func:`plan_hd`."""
    return plan_hd(width, height, num_crops).grid
