"""Decoding of untrusted picture files into RGB."""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import warnings
from typing import TYPE_CHECKING

from assistant.pictures import names
from assistant.values.conversation import PictureFile
from assistant.values.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image


class _DamagedError(Exception):
    """The bytes are no whole picture of their format."""


MAX_BYTES = 64 << 20
"""Largest file, in bytes."""

MAX_PIXELS = 64_000_000
"""Largest picture, in pixels: 192 MB once decoded."""

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

THUMBNAIL_SIDE = 256
"""Longest side of a thumbnail, in pixels."""

# A JPEG that carries a second picture (depth, a thumbnail) behind the one that is shown.
_ALSO = {"MPO": "image/jpeg"}

_BEGINNINGS = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a|II\*\0|MM\0\*|....ftypavi[fs]", re.DOTALL
)
"""First bytes of files of these formats, also of truncated ones."""

_FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"


def open_bytes(data: bytes, *, name: str | None = None, max_bytes: int = MAX_BYTES) -> PictureFile:
    """Check the bytes of a picture by decoding all of it. Raises PictureError.

    ``width`` and ``height`` of the result are pixels after rotation (EXIF). Without a ``name`` it
    is named by its format, "pasted.png" for example.
    """
    label = names.shown(name) if name else "The pasted picture"
    if not data:
        raise PictureError(f"{label} is empty; choose another picture.")
    if len(data) > max_bytes:
        raise too_large(label, max_bytes)
    seen, format, notice = _seen(data, label)
    media_type = (MEDIA_TYPES | _ALSO)[format]
    return PictureFile(
        name=names.shown(name) if name else f"pasted.{media_type.partition('/')[2]}",
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels_sha256(seen),
        media_type=media_type,
        width=seen.width,
        height=seen.height,
        thumbnail=_thumbnail(seen),
        notice=notice,
    )


def pixels(data: bytes, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture into RGB, for the model and, scaled to ``size``, for the screen.

    The result is upright (EXIF), the first frame of an animation, in sRGB, 8 bits a channel, on
    white where it is transparent. Raises PictureError.
    """
    return _seen(data, "The picture", size)[0]


def pixels_sha256(image: Image.Image) -> str:
    """Hash RGB pixels: SHA-256 over ``WIDTHxHEIGHT``, a line feed, and the RGB bytes by rows."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def too_large(label: str, max_bytes: int) -> PictureError:
    """Make the error for a file of more than ``max_bytes`` bytes."""
    size = f"{max_bytes / (1 << 20):.3g} MiB" if max_bytes >= 1 << 20 else f"{max_bytes} bytes"
    return PictureError(f"{label} is larger than {size}; scale it down first.")


def _thumbnail(seen: Image.Image) -> bytes:
    """Encode a JPEG of RGB pixels, at most THUMBNAIL_SIDE pixels wide and high."""
    scale = min(1, THUMBNAIL_SIDE / max(seen.size))
    width, height = (max(1, round(side * scale)) for side in seen.size)
    out = io.BytesIO()
    seen.resize((width, height), reducing_gap=2.0).save(out, "JPEG", quality=85)
    return out.getvalue()


def _header(data: bytes, label: str) -> Image.Image:
    """Read the format and size of a picture; its pixels are decoded later."""
    # Import these decoders: Pillow imports all of its own when one is missing.
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        UnidentifiedImageError,
        WebPImagePlugin,
    )

    # Warnings about odd metadata would be printed across the screen.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES))
    except UnidentifiedImageError as error:
        if _BEGINNINGS.match(data):
            raise _DamagedError from error
        raise PictureError(
            f"{label} is not a picture that can be opened{_hint(data)}; use {_FORMATS}."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(label) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(label)
    if image.width < 1 or image.height < 1:
        raise _DamagedError
    return image


def _seen(
    data: bytes, label: str, size: tuple[int, int] | None = None
) -> tuple[Image.Image, str, str]:
    """Decode a picture: RGB pixels, its format, and a sentence where something is missing."""
    from assistant.pictures.colour import as_seen

    try:
        try:
            image = _header(data, label)
            return as_seen(image, size), str(image.format), ""
        except (PictureError, MemoryError):
            raise
        except Exception:  # decoders fail in any way that untrusted bytes make them
            return _incomplete(data, label, size)
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(
            f"There is not enough memory to open {label}; scale it down first."
        ) from error
    except Exception as error:  # as above
        raise _damaged(label) from error


def _incomplete(
    data: bytes, label: str, size: tuple[int, int] | None
) -> tuple[Image.Image, str, str]:
    from assistant.pictures import incomplete
    from assistant.pictures.colour import as_seen

    found = incomplete.load(data, lambda whole: _header(whole, label))
    if found is None:
        raise _DamagedError
    height = found.image.height
    notice = ""
    if found.is_coarse:
        notice = f"{label} is cut short: its finest details are missing."
    elif found.missing:
        are = "is" if found.missing == 1 else "are"
        rows = f"{found.missing} of its {height} rows {are}"
        notice = f"{label} is cut short: {rows} missing and shown white."
    # the format is lost when the picture is turned
    format = str(found.image.format)
    return found.whitened(as_seen(found.image, size)), format, notice


def _too_many_pixels(label: str) -> PictureError:
    return PictureError(
        f"{label} has more than {MAX_PIXELS // 1_000_000} million pixels; scale it down first."
    )


def _damaged(label: str) -> PictureError:
    return PictureError(f"{label} is damaged or incomplete; get another copy of it.")


def _hint(data: bytes) -> str:
    """Name the format that the bytes have instead, if it is recognised."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"mif1", b"msf1"):
        return " (it is HEIC)"
    if start.startswith(b"%pdf"):
        return " (it is a PDF)"
    if b"<svg" in start:
        return " (it is an SVG drawing)"
    if start.startswith((b"<!doctype html", b"<html")):
        return " (it is a web page)"
    return " (it is text)" if _is_text(data[:512]) else ""


def _is_text(start: bytes) -> bool:
    try:  # incrementally, because a character may be cut at the end
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
