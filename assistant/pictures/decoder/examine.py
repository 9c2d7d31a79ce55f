"""Decoding of untrusted picture files into RGB, by Pillow. Runs in the decoder process alone."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

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

from assistant.pictures import incomplete
from assistant.pictures.colour import as_seen
from assistant.pictures.decode import MAX_PIXELS, MEDIA_TYPES
from assistant.pictures.decoder import heif, kinds, nclx
from assistant.values.errors import PictureError

THUMBNAIL_SIDE = 256
"""Longest side of a thumbnail, in pixels."""

_BAND = 1 << 22
"""Pixels that are turned into bytes at a time."""

_QUICK = 3
"""Level of compression of a part: 12 million pixels of a photo take a second or two."""

_BEGINNINGS = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a|II\*\0|MM\0\*|....ftypavi[fs]", re.DOTALL
)
"""First bytes of files of these formats, also of truncated ones."""

_FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC, a PDF or a video"


class _DamagedError(Exception):
    """The bytes are no whole picture of their format."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """RGB pixels, the format they were stored in, and a sentence where something is missing."""

    image: Image.Image
    format: str
    notice: str = ""


def decoded(data: bytes, label: str, size: tuple[int, int] | None = None) -> Decoded:
    """Decode a picture as it is seen, scaled to ``size``. Raises PictureError and MemoryError."""
    try:
        try:
            image = _header(data, label)
            format = str(image.format)
            return Decoded(as_seen(image, size), format)
        except (PictureError, MemoryError):
            raise
        except Exception:  # decoders fail in any way that untrusted bytes make them
            return _incomplete(data, label, size)
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # as above
        kind = "" if data[:2] in (b"II", b"MM") else kinds.uncommon(data)  # its header was read
        raise (_uncommon(label, kind) if kind else _damaged(label)) from error


def rgb_bands(image: Image.Image) -> Iterator[bytes]:
    """Yield the pixels, row by row, in pieces: a copy of all would take as much memory again."""
    width, height = image.size
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        yield image.crop((0, top, width, min(height, top + step))).tobytes()


def pixels_sha256(image: Image.Image) -> str:
    """Hash RGB pixels: SHA-256 over ``WIDTHxHEIGHT``, a line feed, and the RGB bytes by rows."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode())
    for band in rgb_bands(image):
        digest.update(band)
    return digest.hexdigest()


def thumbnail(seen: Image.Image) -> bytes:
    """Encode a JPEG of RGB pixels, at most THUMBNAIL_SIDE pixels wide and high."""
    scale = min(1, THUMBNAIL_SIDE / max(seen.size))
    width, height = (max(1, round(side * scale)) for side in seen.size)
    out = io.BytesIO()
    seen.resize((width, height), reducing_gap=2.0).save(out, "JPEG", quality=85)
    return out.getvalue()


def part(seen: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """Return a rectangle of RGB pixels."""
    return seen.crop((left, top, left + width, top + height))


def as_png(seen: Image.Image) -> bytes:
    """Encode RGB pixels without loss."""
    out = io.BytesIO()
    seen.save(out, "PNG", compress_level=_QUICK)
    return out.getvalue()


def look(seen: Image.Image) -> int:
    """Return the difference hash of RGB pixels, as a signed number of 64 bits.

    A bit says whether one of 8 x 8 grey places is darker than the one to its right.
    """
    grey = seen.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
    rows = [grey[start : start + 9] for start in range(0, len(grey), 9)]
    bits = [left < right for row in rows for left, right in itertools.pairwise(row)]
    return int.from_bytes(
        int("".join("01"[bit] for bit in bits), 2).to_bytes(8, "big"), "big", signed=True
    )


def _header(data: bytes, label: str) -> Image.Image:
    """Read the format and size of a picture; its pixels are decoded later."""
    # Warnings about odd metadata would be printed across the screen.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    is_heif = heif.is_heif(data)
    try:
        image = (
            heif.opened(data, label)
            if is_heif
            else Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES))
        )
    except UnidentifiedImageError as error:
        if is_heif or _BEGINNINGS.match(data):
            if kind := kinds.uncommon(data):
                raise _uncommon(label, kind) from None
            raise _DamagedError from error
        kind = kinds.name(data)
        hint = f" (it is {kind})" if kind else ""
        raise PictureError(
            f"{label} is not a picture that can be opened{hint}; use {_FORMATS}."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(label) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(label)
    if image.format in (heif.FORMAT, "AVIF") and not image.info.get("icc_profile"):
        image.info["icc_profile"] = nclx.profile(data)
    if image.width < 1 or image.height < 1:
        raise _DamagedError
    return image


def _incomplete(data: bytes, label: str, size: tuple[int, int] | None) -> Decoded:
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
    return Decoded(found.whitened(as_seen(found.image, size)), format, notice)


def _too_many_pixels(label: str) -> PictureError:
    return PictureError(
        f"{label} has more than {MAX_PIXELS // 1_000_000} million pixels; scale it down first."
    )


def _uncommon(label: str, kind: str) -> PictureError:
    return PictureError(
        f"{label} is {kind}, which can't be opened; save it as PNG in another program."
    )


def _damaged(label: str) -> PictureError:
    return PictureError(f"{label} is damaged or incomplete; get another copy of it.")
