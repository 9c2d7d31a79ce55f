"""Pictures for a store, which need no decoding."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from assistant.values.conversation import PictureFile
from assistant.values.origin import Origin
from assistant.values.region import Region


def make_picture(content: str, name: str = "picture.png") -> PictureFile:
    """The store takes bytes as they come: what they show is not its business."""
    data = content.encode()
    return PictureFile(
        name=name,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=hashlib.sha256(b"pixels" + data).hexdigest(),
        media_type="image/png",
        width=640,
        height=480,
    )


def make_part(whole: PictureFile, left: int = 10, content: str = "blank") -> PictureFile:
    """A part of another picture, 100 x 80 pixels at ``left``, 20."""
    region = Region(whole.sha256, left, 20, 100, 80)
    return replace(make_picture(content, f"{whole.name}@{region.typed}"), region=region)


def make_page(number: int, content: str = "blank") -> PictureFile:
    """A page of a document."""
    origin = Origin("d" * 64, "report.pdf", page=number)
    return replace(make_picture(content, f"report.pdf, page {number}"), origin=origin)
