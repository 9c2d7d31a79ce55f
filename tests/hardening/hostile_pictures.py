"""Pictures that attack a decoder, made here: harmless to a decoder with limits."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, ImageCms, ImageDraw


def endless_jpeg(scans: int = 20_000, side: int = 4096) -> bytes:
    """A progressive grey JPEG in which every scan goes over all blocks and says nothing."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    one_code = bytes([1] + [0] * 15)  # a table with one symbol, whose code is a zero bit
    runs = side * side // 64 // 16384 + 1  # of 16,384 blocks that end here
    scan = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + bytes(runs * 15 // 8 + 1)
    return (
        b"\xff\xd8"
        + segment(0xDB, bytes([0] + [1] * 64))
        + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
        + segment(0xC4, bytes([0x00]) + one_code + b"\0")
        + segment(0xC4, bytes([0x10]) + one_code + b"\xe0")
        + scan * scans
        + b"\xff\xd9"
    )


def wide_webp(width: int = 16383, height: int = 3906) -> bytes:
    """A lossless WebP of one transparent colour: 64 million pixels in 46 bytes or fewer."""
    # signature, sizes, alpha, version; no transform, no cache, one group; five codes of one symbol
    bits = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (1, 1), (0, 3), (0, 3)] + [(1, 4)] * 5
    value = at = 0
    for number, count in bits:
        value |= number << at
        at += count
    body = value.to_bytes(-(-at // 8), "little")
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def talkative_tiff() -> bytes:
    """A TIFF whose compressed rows are damaged: libtiff writes about each to standard error."""
    buffer = io.BytesIO()
    # the same each time: of damaged noise a decoder sometimes makes other noise without a word
    Image.linear_gradient("L").save(buffer, "TIFF", compression="tiff_deflate")
    data = bytearray(buffer.getvalue())
    data[10:14] = b"\xff" * 4  # the first block of the first strip
    return bytes(data)


def bases() -> list[bytes]:
    """Small pictures of every format, in the kinds that use other parts of the decoders."""
    image = Image.effect_noise((48, 40), 60).convert("RGB")
    ImageDraw.Draw(image).ellipse((8, 8, 36, 30), fill="red")
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kinds: list[tuple[str, str, dict[str, object]]] = [
        ("RGB", "PNG", {"exif": exif, "icc_profile": srgb}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {"transparency": 3}),
        ("1", "PNG", {}),
        ("I;16", "PNG", {}),
        ("RGB", "PNG", {"save_all": True, "append_images": [image.transpose(0)]}),
        ("RGB", "JPEG", {"exif": exif, "icc_profile": srgb}),
        ("RGB", "JPEG", {"progressive": True}),
        ("CMYK", "JPEG", {"icc_profile": profile}),
        ("L", "JPEG", {"restart_marker_rows": 1}),
        ("RGB", "MPO", {"save_all": True, "append_images": [image]}),
        ("RGB", "WEBP", {"exif": exif}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "WEBP", {"save_all": True, "append_images": [image.transpose(0)]}),
        ("P", "GIF", {"save_all": True, "append_images": [image.transpose(0)]}),
        ("RGB", "BMP", {}),
        ("P", "BMP", {}),
        ("RGB", "TIFF", {"exif": exif}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("RGB", "TIFF", {"compression": "jpeg"}),
        ("1", "TIFF", {"compression": "group4"}),
        ("CMYK", "TIFF", {"compression": "tiff_deflate"}),
        ("F", "TIFF", {}),
        ("RGB", "AVIF", {"exif": exif}),
        ("RGBA", "AVIF", {}),
    ]
    made = []
    for mode, format, options in kinds:
        buffer = io.BytesIO()
        converted = (
            image.convert("L").convert(mode) if mode in ("I;16", "F") else image.convert(mode)
        )
        converted.save(buffer, format, **options)
        made.append(buffer.getvalue())
    return made


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Damage the bases as fuzzers do: bits, sizes, cuts, splices; also with a right CRC."""
    chosen = random.Random(seed)
    whole = bases()
    for _ in range(count):
        data = damage(chosen.choice(whole), chosen, whole)
        yield (_right_sums(data) if data[:4] == b"\x89PNG" and chosen.random() < 0.7 else data)


def damage(sound: bytes, chosen: random.Random, whole: list[bytes]) -> bytes:
    """Damage a file in one to eight ways; ``whole`` has others, whose ends it may get."""
    data = bytearray(sound)
    for _ in range(chosen.choice((1, 1, 2, 4, 8))):
        way = chosen.choice((_bit, _byte, _size, _cut, _doubled, _taken, _spliced))
        way(data, chosen, whole)
    return bytes(data)


def _at(data: bytearray, chosen: random.Random) -> int:
    """A place, in a header mostly."""
    end = len(data) if chosen.random() < 0.5 else min(len(data), 200)
    return chosen.randrange(max(1, end))


def _bit(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    if data:
        data[_at(data, chosen) % len(data)] ^= 1 << chosen.randrange(8)


def _byte(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    if data:
        data[_at(data, chosen) % len(data)] = chosen.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def _size(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    at = _at(data, chosen)
    number = chosen.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 30_000, 1 << 24))
    order = chosen.choice("<>")
    form = chosen.choice("HI")
    packed = struct.pack(order + form, number & (0xFFFF if form == "H" else 0xFFFFFFFF))
    data[at : at + len(packed)] = packed


def _cut(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    del data[chosen.randrange(len(data) + 1) :]


def _doubled(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    at = _at(data, chosen)
    piece = data[at : at + chosen.randrange(1, 400)]
    data[at:at] = piece * chosen.choice((1, 1, 2, 50))


def _taken(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    at = _at(data, chosen)
    del data[at : at + chosen.randrange(1, 200)]


def _spliced(data: bytearray, chosen: random.Random, whole: list[bytes]) -> None:
    other = chosen.choice(whole)
    at = chosen.randrange(len(other))
    data[_at(data, chosen) :] = other[at:]


def _right_sums(data: bytes) -> bytes:
    """Correct the checksums of a PNG, so that what they protect is decoded."""
    made, at = data[:8], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            break
        body = data[at + 4 : at + 8 + size]
        made += data[at : at + 8 + size] + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return made + data[at:]
