"""Pictures decoded by another process: what they are, and their pixels."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from assistant.pictures import names
from assistant.pictures.decoder.frames import Header
from assistant.pictures.decoder.pool import POOL
from assistant.values.conversation import Picture, PictureFile
from assistant.values.errors import PictureError
from assistant.values.origin import Origin
from assistant.values.region import Box, Region, split_region
from assistant.values.text import one_line

if TYPE_CHECKING:
    from PIL import Image

Watch = Callable[[int, int], None]
"""Called with the bytes that arrived and the bytes announced (0: not known), from whatever thread
opens the picture, and on while it is decoded. An exception from it ends the opening."""

MAX_BYTES = 64 << 20
"""Largest file, in bytes."""

MAX_PIXELS = 64_000_000
"""Largest picture, in pixels: 192 MB once decoded."""

MAX_MEMORY = 1_500_000_000
"""Memory of a decoder process, in bytes."""

CPU_S = 10.0
"""Longest decoding of one picture, in seconds of computing."""

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
"""The formats that are opened; no other decoder reads the bytes."""

# A JPEG that carries a second picture (depth, a thumbnail) behind the one that is shown, and what
# an optional library decodes.
_ALSO = {"MPO": "image/jpeg", "HEIF": "image/heic"}

HEIF_PROGRAMS = ("heif-dec", "heif-convert")
"""Names of libheif's program: newer and older."""
HEIF_KINDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2", b"heif"}
)
"""Kinds by which files of HEIC and HEIF name themselves."""

_LONGEST_SENTENCE = 400
_SHA256 = re.compile("[0-9a-f]{64}")


def open_bytes(data: bytes, *, name: str | None = None, watch: Watch | None = None) -> PictureFile:
    """Check the bytes of a picture by decoding all of it. Raises PictureError.

    ``width`` and ``height`` of the result are pixels after rotation (EXIF). Without a ``name`` it
    is named by its format, "pasted.png" for example.
    """
    label = names.shown(name) if name else "The pasted picture"
    if not data:
        raise PictureError(f"{label} is empty; choose another picture.")
    if len(data) > MAX_BYTES:
        raise too_large(label)
    found, _ = asked_picture({"op": "open"}, data, 0, label, looking(data, watch))
    return picture_of(found, data, name, label)


def cut(
    picture: Picture | PictureFile, data: bytes, box: Box, *, watch: Watch | None = None
) -> PictureFile:
    """Cut a rectangle out of a picture's original bytes, as a picture of its own (PNG).

    It is named after the picture and its place there, as ``-i`` takes it. A part of a part is one
    of the whole picture. Raises PictureError.
    """
    label = picture.name
    header = {"op": "cut", "box": box}
    found, png = asked_picture(header, data, MAX_BYTES, label, looking(data, watch))
    if (found["width"], found["height"]) != box[2:]:
        raise made_up(label)
    left, top, width, height = box
    of, name = picture.sha256, picture.name
    if picture.region is not None:
        of, name = picture.region.sha256, split_region(name)[0]
        left, top = left + picture.region.left, top + picture.region.top
    region = Region(of, left, top, width, height)
    part = picture_of(found, bytes(png), f"{name}@{region.typed}", label)
    return replace(part, region=region, origin=picture.origin)


def drawn(
    header: Header, data: bytes, name: str, origin: Origin, watch: Watch | None
) -> PictureFile:
    """Have a page or a frame drawn as a picture of its own (PNG). Raises PictureError."""
    found, png = asked_picture(header, data, MAX_BYTES, name, looking(data, watch))
    return replace(picture_of(found, bytes(png), name, name), origin=origin)


def picture_of(found: Header, data: bytes, name: str | None, label: str) -> PictureFile:
    """Make a picture of the decoder's answer."""
    try:  # a decoder that was taken over may answer anything: None, too
        media_type = (MEDIA_TYPES | _ALSO)[found["format"]]
        return PictureFile(
            name=names.shown(name) if name else f"pasted.{media_type.partition('/')[2]}",
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            pixels_sha256=_SHA256.fullmatch(found["pixels_sha256"])[0],  # type: ignore[index]
            media_type=media_type,
            width=found["width"],
            height=found["height"],
            thumbnail=base64.b64decode(found["thumbnail"], validate=True),
            notice=one_line(found["notice"], _LONGEST_SENTENCE),
            look=_signed(found["look"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise made_up(label) from error


def pixels(data: bytes, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture into RGB, scaled to ``size`` for the screen.

    The result is upright (EXIF), the first frame of an animation, in sRGB, 8 bits a channel, on
    white where it is transparent. Raises PictureError.
    """
    from PIL import Image

    width, height, rgb = rgb_pixels(data, size)
    return Image.frombytes("RGB", (width, height), rgb)


def rgb_pixels(data: bytes, size: tuple[int, int] | None = None) -> tuple[int, int, bytes]:
    """Decode a picture as :func:`pixels` does: width, height, and RGB bytes by rows."""
    most = 3 * (size[0] * size[1] if size else MAX_PIXELS)
    label = "The picture"
    header = {"op": "pixels", "size": size}
    found, rgb = asked_picture(header, data, most, label, _keep_on)
    width, height = found["width"], found["height"]
    if len(rgb) != 3 * width * height:
        raise made_up(label)
    return width, height, bytes(rgb)


def start_decoding() -> None:
    """Start the process that decodes, so that the first picture need not wait for it."""
    POOL.start()


def stop_decoding() -> None:
    """End whatever is being decoded; threads that wait for it get a PictureError."""
    POOL.stop()


def too_large(label: str) -> PictureError:
    """Make the error for a file of more than MAX_BYTES bytes."""
    return PictureError(f"{label} is larger than {MAX_BYTES >> 20} MiB; scale it down first.")


def looking(data: bytes, watch: Watch | None) -> Callable[[], None]:
    """Return what is called while the decoder works on bytes that are all here."""
    return (lambda: watch(len(data), len(data))) if watch else _keep_on


def _keep_on() -> None:
    """Wait on."""


def asked(
    header: Header, data: bytes, most: int, label: str, look: Callable[[], None]
) -> tuple[Header, bytearray]:
    """Ask the decoder. Raises PictureError, with its sentence."""
    whole = {**header, "label": label, "seconds": CPU_S}
    found, answer = POOL.ask(whole, data, most, label, look)
    if "error" in found:
        code = "password" if found.get("code") == "password" else None
        raise PictureError(one_line(str(found["error"]), _LONGEST_SENTENCE), code=code)
    return found, answer


def asked_picture(
    header: Header, data: bytes, most: int, label: str, look: Callable[[], None]
) -> tuple[Header, bytearray]:
    """Ask the decoder, which may have been taken over by the picture: its answer is checked."""
    found, answer = asked(header, data, most, label, look)
    width, height = found.get("width"), found.get("height")
    if not (
        type(width) is type(height) is int
        and width > 0
        and height > 0
        and width * height <= MAX_PIXELS
    ):
        raise made_up(label)
    return found, answer


def _signed(look: int) -> int:
    """Return a number of 64 bits. Raises ValueError for another one."""
    if type(look) is not int or not -(1 << 63) <= look < 1 << 63:
        raise ValueError("a look is a number of 64 bits")
    return look


def made_up(label: str) -> PictureError:
    return PictureError(f"{label} made the decoder fail; save it as PNG in another program.")
