"""Pixels of a prompt's pictures, for the model: decoded when it asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assistant.values.conversation import PictureFile
from assistant.values.generation import Pixels
from assistant.window.layout import Planned


def not_stored(sha256: str) -> bytes:
    """Stand for a store where every picture is one of the message."""
    raise KeyError(sha256)


def pixels_of(
    planned: Planned, stored: Callable[[str], bytes], files: Sequence[PictureFile] = ()
) -> Callable[[str], Pixels]:
    """Return a function that decodes a picture of the plan, named by the hash of its pixels.

    It is one of ``files``, which need not be stored yet, or read by ``stored``.
    """
    unstored = {file.pixels_sha256: file.data for file in files}
    originals = {
        picture.pixels_sha256: picture.sha256
        for seen in planned.plan.seen
        for picture in seen.turn.pictures
    }

    def pixels(pixels_sha256: str) -> Pixels:
        from assistant.pictures import decode

        data = unstored.get(pixels_sha256) or stored(originals[pixels_sha256])
        return Pixels(*decode.rgb_pixels(data))

    return pixels
