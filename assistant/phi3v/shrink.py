"""Smaller pictures that Phi-3-vision's processor takes for the originals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.phi3v.crops import plan_hd

if TYPE_CHECKING:
    from PIL.Image import Image


def shrunk(image: Image, num_crops: int) -> Image:
    """Resize a picture as the HD transform does, where that makes it smaller.

    It is returned as it is where the transform would resize the result once more, or can't be
    planned: then it would be another picture to the model.
    """
    from PIL.Image import Resampling, Transpose  # lists of models need none of it

    try:
        plan = plan_hd(*image.size, num_crops)
        again = plan_hd(*plan.resized, num_crops)
    except ValueError:
        return image
    long, _ = plan.resized
    if long >= max(image.size) or again.resized != plan.resized or again.transposed:
        return image
    if not plan.transposed:
        return image.resize(plan.resized, Resampling.BILINEAR)
    upright = image.transpose(Transpose.TRANSPOSE)
    resized = upright.resize(plan.resized, Resampling.BILINEAR)
    return resized.transpose(Transpose.TRANSPOSE)
