"""Damaged pictures that viewers show: metadata is skipped, the rows that are there are decoded.

Pillow refuses a PNG for a wrong checksum in a comment or a profile of more than 1 MB, and a JPEG
for two missing bytes at its end. This decodes what is there, where that is most of the picture.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import ExifTags, Image, ImageChops, ImageFile, ImageOps, PngImagePlugin

MOST_MISSING = 1 / 4
"""Share of rows that may be missing; below it a picture says less than its absence."""

MOST_METADATA = 16 << 20
"""Largest colour profile or text of a PNG, in bytes, once decompressed. Profiles of displays with
tables have a few million."""

_END = b"\xff\xd9"
_NOISE = bytes(random.Random(1).choices(range(0xFF), k=4096))
"""Pixels of a JPEG that are none; 0xFF would begin a marker."""
_FREQUENCIES = 64
"""Coefficients of each component of a JPEG."""

_lenient = threading.Lock()

Opener = Callable[[bytes], Image.Image]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A loaded picture; the rows from ``first`` to before ``last``, as stored, are missing."""

    image: Image.Image
    first: int
    last: int
    is_coarse: bool = False
    """Whether all rows are there in less detail than was meant."""

    @property
    def missing(self) -> int:
        return self.last - self.first

    def whitened(self, seen: Image.Image) -> Image.Image:
        """Paint the missing rows of the picture as it is seen, upright and in RGB."""
        if not self.missing:
            return seen
        gone = Image.new("L", self.image.size, 0)
        gone.paste(255, (0, self.first, gone.width, self.last))
        orientation = ExifTags.Base.Orientation
        gone.getexif()[orientation] = self.image.getexif().get(orientation, 1)
        gone = ImageOps.exif_transpose(gone).resize(seen.size)
        seen.paste((255, 255, 255), mask=gone)
        return seen


def load(data: bytes, opened: Opener) -> Incomplete | None:
    """Load what there is of a damaged picture; None where too much is missing.

    Raises Pillow's errors for a picture of which nothing can be decoded.
    """
    found = _load_jpeg(data, opened) if data.startswith(b"\xff\xd8") else _load_rows(data, opened)
    return found if found.missing <= found.image.height * MOST_MISSING else None


def _load_rows(data: bytes, opened: Opener) -> Incomplete:
    """Decode upon black and upon white: where both are left, the file has no pixels."""
    with _leniency():
        black, white = (_upon(opened(data), byte) for byte in (0, 0xFF))
    hole = ImageChops.difference(*(_comparable(image) for image in (black, white))).getbbox()
    return Incomplete(white, hole[1], hole[3]) if hole else Incomplete(white, 0, 0)


def _upon(image: Image.Image, byte: int) -> Image.Image:
    """Load a picture into pixels that all have this value before."""
    assert isinstance(image, ImageFile.ImageFile)
    if any(tile[0] == "libtiff" for tile in image.tile):
        raise OSError("libtiff fills rows that it can't decode with rows of its own")
    prepare = image.load_prepare

    def filled() -> None:
        prepare()
        bands = image.im.bands
        image.im.paste((byte,) * bands if bands > 1 else byte, (0, 0, *image.im.size))

    vars(image)["load_prepare"] = filled
    image.load()
    return image


def _comparable(image: Image.Image) -> Image.Image:
    """Return the pixels in a mode that can be subtracted, without looking at colours."""
    if image.mode == "P":
        return Image.frombytes("L", image.size, image.tobytes())
    return image if image.mode in ("1", "L", "RGB", "RGBA", "LA", "CMYK") else image.convert("L")


def _load_jpeg(data: bytes, opened: Opener) -> Incomplete:
    """Decode with the end that is missing, and with other pixels before it: what stays is there."""
    scans = _scans(data)
    ended = opened(data[: scans.end] + _END)
    noisy = opened(data[: scans.end] + _NOISE + _END)
    ended.load()
    noisy.load()
    hole = ImageChops.difference(ended, noisy).getbbox()
    if scans.is_progressive:  # each scan goes from the first row to the last
        sent = scans.whole if hole else scans.whole | scans.last
        is_there = len(sent) >= scans.components * _FREQUENCIES
        is_coarse = bool(hole) or max(sent.values(), default=0) > 0
        return Incomplete(ended, 0, 0 if is_there else ended.height, is_coarse)
    return Incomplete(ended, hole[1], ended.height) if hole else Incomplete(ended, 0, 0)


@dataclass(slots=True)
class _Scans:
    """Coefficients (component, frequency) that a JPEG sends, and the bits that are yet to come."""

    is_progressive: bool = False
    components: int = 0
    whole: dict[tuple[int, int], int] = field(default_factory=dict)
    last: dict[tuple[int, int], int] = field(default_factory=dict)
    """Those of the scan at the end of the file, which may be cut."""
    end: int = 0
    """End of the last scan, or of the header before it: one that is cut says nothing."""


def _scans(data: bytes) -> _Scans:
    found = _Scans()
    for marker, begin, found.end in _segments(data):
        found.whole |= found.last  # a marker follows, so this scan is whole
        found.last = {}
        body = data[begin : found.end]
        if marker in (0xC0, 0xC1, 0xC2):
            found.is_progressive, found.components = marker == 0xC2, body[5]
        elif marker == 0xDA:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            components = body[1 : 1 + 2 * count : 2]
            found.last = {(c, f): bits & 0xF for c in components for f in range(first, last + 1)}
    if found.last or not found.end:
        found.end = len(data)
    return found


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each whole segment of a JPEG."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD8:  # data of a scan
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xD9 or end > len(data):
            return
        yield marker, at + 4, end
        at = end


@contextmanager
def _leniency() -> Iterator[None]:
    """Have Pillow pass over what it refuses; its switches are global."""
    with _lenient:
        limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        PngImagePlugin.MAX_TEXT_CHUNK = MOST_METADATA
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = limits
