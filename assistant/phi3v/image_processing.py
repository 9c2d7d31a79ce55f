"""Image processor of the official interface, around :mod:`assistant.phi3v.pixels`.

EXIF, alpha and colour profiles are ignored, because :mod:`assistant.pictures` applies them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from PIL import Image

from assistant.families.checkpoint import find_folder, read_json
from assistant.phi3v.crops import CROP, crop_grid
from assistant.phi3v.pixels import CLIP_MEAN, CLIP_STD, cut

if TYPE_CHECKING:
    from transformers import BatchFeature


class Phi3VImageProcessor:
    """Image processor that cuts a picture into at most ``num_crops`` crops."""

    model_input_names = ("pixel_values", "image_sizes")

    def __init__(
        self,
        num_crops: int = 16,
        image_mean: Sequence[float] = CLIP_MEAN,
        image_std: Sequence[float] = CLIP_STD,
        num_img_tokens: int = 144,
        **_: Any,
    ) -> None:
        self.num_crops = num_crops
        self.image_mean = tuple(image_mean)
        self.image_std = tuple(image_std)
        self.num_img_tokens = num_img_tokens

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, local_files_only: bool = False, **overrides: Any
    ) -> Self:
        """Read preprocessor_config.json; keyword arguments override its values."""
        folder = find_folder(name_or_path, local_files_only=local_files_only)
        return cls(**{**read_json(folder / "preprocessor_config.json"), **overrides})

    def crops(
        self, image: Image.Image, num_crops: int | None = None
    ) -> tuple[torch.Tensor, tuple[int, int]]:
        """Cut one picture -> ([1 + rows * columns, 3, 336, 336] float32, (height, width)).

        The global view comes first; no padding crops. Raises ValueError for a picture so thin that
        its short side vanishes.
        """
        return cut(image, num_crops or self.num_crops, self.image_mean, self.image_std)

    def calc_num_image_tokens_from_image_size(self, width: int, height: int) -> int:
        """Count the positions of a picture of this size; raises ValueError as :meth:`crops`."""
        return crop_grid(width, height, self.num_crops).tokens(self.num_img_tokens)

    def calc_num_image_tokens(self, images: Image.Image | Sequence[Image.Image]) -> list[int]:
        return [
            self.calc_num_image_tokens_from_image_size(*image.size) for image in _as_list(images)
        ]

    def __call__(
        self,
        images: Image.Image | Sequence[Image.Image],
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Process pictures -> ``pixel_values``, ``image_sizes``, ``num_img_tokens``.

        They are [n, num_crops + 1, 3, 336, 336] with zero crops at the end, [n, 2] (height, width)
        and a list. Raises IndexError for an empty list, ValueError for anything but PIL pictures.
        """
        from transformers import BatchFeature

        pictures = _as_list(images)
        if not pictures:
            raise IndexError("list index out of range: pass at least one image")
        pixel_values, sizes, tokens = [], [], []
        for picture in pictures:
            crops, (height, width) = self.crops(picture)
            padding = crops.new_zeros(self.num_crops + 1 - crops.shape[0], 3, CROP, CROP)
            pixel_values.append(torch.cat((crops, padding)))
            sizes.append([height, width])
            tokens.append(self.calc_num_image_tokens_from_image_size(*picture.size))
        return BatchFeature(
            data={
                "pixel_values": torch.stack(pixel_values),
                "image_sizes": torch.tensor(sizes),
                "num_img_tokens": tokens,
            },
            tensor_type=None,
        ).convert_to_tensors(return_tensors, skip_tensor_conversion=["num_img_tokens"])

    preprocess = __call__


def _as_list(images: Image.Image | Sequence[Image.Image]) -> list[Image.Image]:
    pictures = [images] if isinstance(images, Image.Image) else images
    if not isinstance(pictures, (list, tuple)) or not all(
        isinstance(picture, Image.Image) for picture in pictures
    ):
        raise ValueError("Invalid image type: pass a PIL image or a list of PIL images.")
    return list(pictures)
