"""Pictures for a store, which need no decoding."""

from __future__ import annotations

import hashlib

from assistant.values.conversation import PictureFile


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
