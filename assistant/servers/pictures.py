"""Pictures for a server: their size by the model that looks at them, and data URLs."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from assistant.families.family import KnownModel
from assistant.families.registry import families
from assistant.values.context import PictureLayout
from assistant.values.generation import Pixels

MOST_PNG = 1 << 20
"""Bytes of PNG up to which a picture is sent without loss; beyond, it is a photograph mostly."""
MOST_EXACT = 8 << 20
"""The same for a model that we know, which would answer otherwise to other pixels."""
JPEG_QUALITY = 95
SMALL_QUALITY = 80
"""JPEG quality for servers that take no large requests."""


SIDE = 2048
"""Pixels of the longest side of a picture that is sent, as long as no other number is chosen."""

PATCH = 28
"""Pixels of the square that is taken for a token: Qwen-VL's, the most of the usual models."""


SMALLEST = 32
"""Pixels of the shortest side that is sent: some vision models fail, with their server, at less."""


class ServerPictures(Protocol):
    """A :class:`assistant.values.prompt.PictureFormat` that also says what is sent."""

    details: Sequence[int]
    part: str
    default: int
    largest: int

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Estimate, or compute, how the server's model looks at a picture."""

    def shrunk(self, image: Image.Image, detail: int, halved: int) -> Image.Image:
        """Return the picture that is sent: never larger; ``halved`` times half as large."""


class AnyPictures:
    """Pictures for a model of any kind: a detail is a number of tiles of 512 x 512 pixels.

    A picture is never enlarged; one that is narrower than SMALLEST gets a white edge.
    """

    details: Sequence[int] = (16, 9, 4, 1)
    part = "tile"

    def __init__(self, detail: int | None) -> None:
        self.default = self.largest = detail or self.details[0]
        self.extra = 0
        """Tokens of a picture beside those of its pixels, as far as the server counts more."""

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Lay out in the fewest tiles that make the picture no smaller, up to ``detail``."""
        enough = (one for one in reversed(self.details) if max(width, height) <= _side(one))
        detail = min(detail, next(enough, detail))
        w, h = (max(SMALLEST, one) for one in _fitted((width, height), _side(detail)))
        tokens = math.ceil(w / PATCH) * math.ceil(h / PATCH) + 2 + self.extra
        words = f"sent as {w}×{h} pixels"
        return PictureLayout(detail, tokens, (w, h), part=self.part, words=words)

    def shrunk(self, image: Image.Image, detail: int, halved: int) -> Image.Image:
        """Return the picture with its longest side as the detail says."""
        size = _fitted(image.size, max(1, _side(detail) >> halved))
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        return image if min(size) >= SMALLEST else _padded(image)


class KnownPictures:
    """Pictures for a model that we know: what its own processor does with them is counted.

    It enlarges and cuts pictures itself, into as many parts as its own number allows; vLLM takes
    another number with a request. What is sent is to it the same picture as the original.
    """

    def __init__(self, known: KnownModel, detail: int | None, *, takes_detail: bool) -> None:
        self._like, self._shrink = known.pictures, known.shrink
        self.part, self.own = self._like.part, self._like.default
        self.details: Sequence[int] = self._like.details if takes_detail else ()
        self.default = self.largest = (detail if takes_detail else None) or self.own

    def refuse_detail(self) -> None:
        """Note that the server takes no number of parts: its own is counted from now on."""
        self.details, self.default = (), self.own

    def layout(self, width: int, height: int, detail: int) -> PictureLayout:
        """Lay out as the model does."""
        return self._like.layout(width, height, detail if self.details else self.own)

    def shrunk(self, image: Image.Image, detail: int, halved: int) -> Image.Image:
        """Return the picture in the size that the model's processor gives it, or as it is."""
        if halved:
            width, height = (max(1, side >> halved) for side in image.size)
            return image.resize((width, height), Image.Resampling.BILINEAR)
        detail = detail if self.details else self.own
        return image if self._shrink is None else self._shrink(image, detail)


def known_model(name: str) -> KnownModel | None:
    """Return the known model that a server has under this name; None for any other."""
    found = (one for family in families() for one in family.known)
    return next((one for one in found if re.search(one.served_as, name, re.IGNORECASE)), None)


def pictures_for(model: str, owner: str, detail: int | None) -> ServerPictures:
    """Return the picture format of a model by its name, and by the server that has it."""
    if (known := known_model(model)) is not None:
        return KnownPictures(known, detail, takes_detail=owner == "vllm")
    return AnyPictures(detail)


def _side(detail: int) -> int:
    """Return the pixels of the longest side that a detail stands for."""
    return max(1, round(SIDE * math.sqrt(detail / 16)))


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _padded(image: Image.Image) -> Image.Image:
    """Put a small picture on white, in the upper left corner."""
    width, height = (max(SMALLEST, one) for one in image.size)
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image)
    return canvas


def picture_url(
    pixels: Pixels, form: ServerPictures, detail: int, *, halved: int = 0, only: str = ""
) -> str:
    """Make a ``data:`` URL of a picture, ``halved`` times half as large as the detail says.

    PNG, or JPEG with full colour where the PNG would be long and the model's own processor does not
    count; one that is halved as a JPEG of less quality if that is shorter. ``only`` is the one
    format that is taken, "png" or "jpeg".
    """
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb)
    image = form.shrunk(image, detail, halved)
    data, kind = _encoded(image, "PNG"), "png"
    if only == "png":
        pass
    elif only:
        data, kind = _encoded(image, "JPEG", quality=JPEG_QUALITY, subsampling=0), "jpeg"
    elif halved:
        less = _encoded(image, "JPEG", quality=SMALL_QUALITY)
        data, kind = min((data, kind), (less, "jpeg"), key=lambda made: len(made[0]))
    elif len(data) > (MOST_EXACT if isinstance(form, KnownPictures) else MOST_PNG):
        data, kind = _encoded(image, "JPEG", quality=JPEG_QUALITY, subsampling=0), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
