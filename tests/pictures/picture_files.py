"""Encodes small pictures, the ordinary and the malicious, without keeping binary files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, TiffImagePlugin

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF")


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def flag() -> Image.Image:
    """30 x 20 pixels: red, but for the top left corner, which is blue."""
    image = Image.new("RGB", (30, 20), (200, 30, 60))
    image.paste((0, 0, 255), (0, 0, 10, 10))
    return image


def png(width: int, height: int, depth: int, kind: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG made by hand: ``kind`` is the colour type, ``chunks`` come before the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
        + b"".join(chunk(name.encode(), data) for name, data in chunks.items())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def tiff(tags: dict[int, Any], pixels: bytes, size: tuple[int, int]) -> bytes:
    """A TIFF made by hand of one strip of pixels."""
    made = TiffImagePlugin.ImageFileDirectory_v2()
    # the place of the pixels is counted from the directory's end
    whole = {256: size[0], 257: size[1], 259: 1, 273: 0, 278: size[1], **tags}
    for tag, value in whole.items():
        made[tag] = value
    return b"II*\0\x08\0\0\0" + made.tobytes(8) + pixels
