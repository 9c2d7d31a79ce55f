"""Pictures for a server: data URLs, cut down to what is counted for them."""

from __future__ import annotations

import base64
import io
from contextlib import suppress

from PIL import Image

from assistant.families.registry import families
from assistant.values.context import PictureLayout
from assistant.values.generation import Pixels

MOST_PNG = 1 << 20
"""Bytes of PNG up to which a picture is sent without loss; beyond, it is a photograph mostly."""
JPEG_QUALITY = 95
SMALL_QUALITY = 80
"""JPEG quality for servers that take no large requests."""


class ServerPictures:
    """A :class:`assistant.values.prompt.PictureFormat` that estimates: as for the default model.

    So a choice of crops means the same as with a local model. But a server's pictures are never
    enlarged: more crops than a picture fills would add nothing.
    """

    def __init__(self, detail: int | None) -> None:
        self._like = families()[0].known[0].pictures
        self.details, self.part = self._like.details, self._like.part
        self.default = self.largest = detail or self._like.default

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Choose the coarsest layout, up to ``detail``, that makes the picture no smaller."""
        finest = self._like.layout(width, height, detail)
        for coarser in reversed(self.details):
            if coarser >= finest.detail:
                break
            with suppress(ValueError):
                found = self._like.layout(width, height, coarser)
                fits = width <= found.size[0] and height <= found.size[1]
                if fits and found.detail == coarser:
                    return found
        return finest


def picture_url(pixels: Pixels, size: tuple[int, int], *, small: bool = False) -> str:
    """Make a ``data:`` URL of a picture of at most ``size`` (width, height), never enlarged.

    PNG, or JPEG with full colour where the PNG would be long; ``small``: a JPEG of less quality if
    that is shorter.
    """
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb)
    image.thumbnail(size, Image.Resampling.LANCZOS)
    data, kind = _encoded(image, "PNG"), "png"
    if small:
        less = _encoded(image, "JPEG", quality=SMALL_QUALITY)
        data, kind = min((data, kind), (less, "jpeg"), key=lambda made: len(made[0]))
    elif len(data) > MOST_PNG:
        data, kind = _encoded(image, "JPEG", quality=JPEG_QUALITY, subsampling=0), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
