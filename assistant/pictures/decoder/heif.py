"""HEIC and HEIF, the pictures of phones, by pillow-heif where that is installed."""

from __future__ import annotations

from functools import cache

from assistant.values.errors import PictureError

FORMAT = "HEIF"
"""Pillow's name of the format."""

HEIF_KINDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2", b"heif"}
)
_OTHERS = (b"avif", b"avis")
_HEAD = 64
"""Bytes in which a file names the kinds of decoder that can read it."""


def is_heif(data: bytes) -> bool:
    """Whether bytes begin as a HEIC or HEIF file, and not as an AVIF file."""
    if data[4:8] != b"ftyp" or data[8:12] not in HEIF_KINDS:
        return False
    return not any(kind in data[16:_HEAD] for kind in _OTHERS)


def prepare(label: str) -> None:
    """Have Pillow open HEIF. Raises PictureError where pillow-heif is not installed."""
    if not _registered():
        raise PictureError(
            f"{label} is HEIC: install pillow-heif beside phichat (docs/install.md says how and "
            "under which licence), or save the picture as JPEG."
        )


@cache
def _registered() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    # Of what a file holds only the picture is read: an embedded small copy may show another one.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True
