"""Data URLs of pictures, no larger than their crops."""

from __future__ import annotations

import base64
import io

from PIL import Image

from assistant.phi3v.crops import crop_grid
from assistant.values.generation import Pixels

MOST_PNG = 1 << 20
"""Bytes of PNG up to which a picture is sent without loss; beyond, it is a photograph mostly."""
JPEG_QUALITY = 95


def picture_url(pixels: Pixels, num_crops: int) -> str:
    """Make a ``data:`` URL of a picture with at most the pixels of its crops, never enlarged.

    A choice of crops and its cost mean the same as with a local model then. PNG, or JPEG with
    full colour where the PNG would be long.
    """
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb)
    grid = crop_grid(pixels.width, pixels.height, num_crops)
    image.thumbnail((grid.width, grid.height), Image.Resampling.LANCZOS)
    data, kind = _encoded(image, "PNG"), "png"
    if len(data) > MOST_PNG:
        data, kind = _encoded(image, "JPEG", quality=JPEG_QUALITY, subsampling=0), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
