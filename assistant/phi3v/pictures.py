"""Crop limits of a picture, and the positions that each takes in the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from assistant.phi3v.crops import crop_grid
from assistant.values.context import PictureLayout


@dataclass(frozen=True, slots=True)
class Phi3VPictures:
    """A :class:`assistant.values.prompt.PictureFormat`; a detail is the most crops of a picture.

    ``own`` is the preprocessor's number, ``chosen`` that of the settings. ``crop_tokens`` are the
    positions of one crop (144 for the real model).
    """

    own: int = 16
    chosen: int | None = None
    crop_tokens: int = 144

    details: ClassVar[tuple[int, ...]] = (16, 9, 4, 1)
    """Squares of a picture's side in crops."""
    part: ClassVar[str] = "crop"

    @property
    def default(self) -> int:
        """The setting, or the preprocessor's number."""
        return self.chosen or self.own

    @property
    def largest(self) -> int:
        """The user may choose the preprocessor's number for a picture, whatever the setting."""
        return max(self.default, self.own)

    @lru_cache(maxsize=4096)  # noqa: B019 (a process has one or two)
    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Lay out a picture in at most ``detail`` crops, or in more if it is too long for so few.

        Raises ValueError for a picture that is too thin for every detail.
        """
        for limit in (detail, *(more for more in reversed(self.details) if more > detail)):
            try:
                grid = crop_grid(width, height, limit)
            except ValueError:
                continue
            return PictureLayout(
                detail=limit,
                tokens=grid.tokens(self.crop_tokens),
                size=(grid.width, grid.height),
                grid=(grid.rows, grid.columns),
                views=grid.crops if grid.rows * grid.columns > 1 else 1,  # the whole is the crop
                part=self.part,
                words=f"{_crops(grid.rows, grid.columns)} and the whole",
            )
        raise ValueError("too thin to be seen")


def _crops(rows: int, columns: int) -> str:
    return f"{rows}×{columns} crops" if rows * columns > 1 else "1 crop"
