"""Kinds of files that are no picture that can be opened, by their first bytes."""

from __future__ import annotations

import codecs
import io
import re

_NAMES = (
    (rb"%PDF", "a PDF"),
    (rb"(?s:.*)<svg", "an SVG drawing"),
    (rb"(?i:<!doctype html|<html)", "a web page"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb"8BPS", "a Photoshop file"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL"),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP", "a JPEG 2000"),
    (rb"\0\0[\1\2]\0[^\0]\0", "an icon"),
    (rb"icns", "an icon"),
    (rb"FUJIFILMCCD-RAW|FOVb|IIRO|IIU\0|....ftypcrx ", "a camera's raw file"),
    (rb"P[1-7][\s#]|P[Ff]\s|#\?RADIANCE|v/1\x01|qoif|DDS |gimp xcf", "a picture of another kind"),
    (rb"(?s:.{128})DICM", "a medical picture (DICOM)"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive"),
    (rb"\x00\x05\x16[\x00\x07]", "what macOS keeps beside a file"),
)
"""Patterns of first bytes, and a name each."""

_RAW = (32803, 34892)
"""Photometric interpretations of TIFF: pixels as a camera's sensor gave them."""


def name(data: bytes) -> str:
    """Name the format that the bytes have instead, if it is recognised."""
    start = data[:512]
    bare = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for pattern, found in _NAMES:
        if re.match(pattern, start, re.DOTALL) or re.match(pattern, bare):
            return found
    return "text" if _is_text(start) else ""


def uncommon(data: bytes) -> str:
    """Name the kind of a whole file of a known format that is not decoded; "" for a damaged one."""
    if data[12:16] == b"CgBI":
        return "a PNG of an app for iOS"
    return _tiff(data) if data[:4] in (b"II*\0", b"MM\0*") else _jpeg(data)


def _jpeg(data: bytes) -> str:
    """Name a JPEG of another process by the marker of its frame; "" for any other file."""
    at = 2 if data[:3] == b"\xff\xd8\xff" else len(data)
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xF7:
            return "a JPEG-LS"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return "a lossless JPEG" if marker in (0xC3, 0xC7, 0xCB, 0xCF) else ""
        at += 2 + length
    return ""


def _tiff(data: bytes) -> str:
    """Name a TIFF whose pixels are all there."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

    if data[8:11] == b"CR\2":
        return "a camera's raw file"
    try:
        tags = Directory(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        if tags.get(262) in _RAW:
            return "a camera's raw file"
        places, sizes = (tags.get(273) or tags[324], tags.get(279) or tags[325])
        is_whole = max(map(sum, zip(places, sizes, strict=True))) <= len(data)
    except Exception:  # a damaged directory fails in any way
        return ""
    return "a TIFF of an uncommon kind" if is_whole else ""


def _is_text(start: bytes) -> bool:
    try:  # incrementally, because a character may be cut at the end
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
