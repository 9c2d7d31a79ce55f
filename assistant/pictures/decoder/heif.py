"""HEIC and HEIF, the pictures of phones, by pillow-heif or a program of libheif."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from PIL import Image

from assistant.pictures.decode import HEIF_KINDS, HEIF_PROGRAMS
from assistant.pictures.decoder import own_files
from assistant.pictures.decoder.programs import run
from assistant.values.errors import PictureError

FORMAT = "HEIF"
"""Pillow's name of the format."""

_OTHERS = (b"avif", b"avis")
_HEAD = 64
"""Bytes in which a file names the kinds of decoder that can read it."""


def is_heif(data: bytes) -> bool:
    """Whether bytes begin as a HEIC or HEIF file, and not as an AVIF file."""
    if data[4:8] != b"ftyp" or data[8:12] not in HEIF_KINDS:
        return False
    return not any(kind in data[16:_HEAD] for kind in _OTHERS)


def opened(data: bytes, label: str) -> Image.Image:
    """Open HEIF with pillow-heif, else with a program of libheif. Raises PictureError, or any."""
    if _registered():
        return Image.open(io.BytesIO(data), formats=(FORMAT,))
    program = next(filter(None, map(shutil.which, HEIF_PROGRAMS)), None)
    if program is None:
        raise PictureError(
            f"{label} is HEIC: install pillow-heif or libheif's programs (docs/install.md says how "
            "and under which licence), or save the picture as JPEG."
        )
    image = Image.open(io.BytesIO(_converted(program, data, label)), formats=("PNG",))
    # Turned already: heif-convert 1.15 still writes the orientation of the original beside it.
    image.info.pop("exif", None)
    image.format = FORMAT
    return image


def _converted(program: str, data: bytes, label: str) -> bytes:
    """Convert HEIF to PNG: of several pictures in a file, the first."""
    with tempfile.TemporaryDirectory(prefix=own_files.beginning(os.getpid())) as folder:
        whole = Path(folder, "picture.heic")
        whole.write_bytes(data)
        run([program, str(whole), f"{folder}/picture.png"], label)
        made = sorted(Path(folder).glob("*.png"))
        return made[0].read_bytes() if made else b""


@cache
def _registered() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    # Of what a file holds only the picture is read: an embedded small copy may show another one.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True
