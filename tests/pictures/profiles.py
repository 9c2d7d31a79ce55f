"""ICC profiles made by hand: colour spaces of cameras, screens, scanners and presses."""

from __future__ import annotations

import itertools
import struct


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _gamma(value: float) -> bytes:
    return b"curv" + struct.pack(">IIH2x", 0, 1, round(value * 256))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Put a profile of version 2 together: header, table of tags, their data."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, kind, space, pcs)
    header += (
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642, 1, 0.8249)
    )
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + data


def _rgb(gamma: float, *primaries: tuple[float, float, float]) -> bytes:
    """Make a profile of three primaries, as XYZ adapted to D50, and one gamma."""
    tags = {f"{c}XYZ".encode(): _xyz(*xyz) for c, xyz in zip("rgb", primaries, strict=True)}
    return _profile(
        b"mntr", b"RGB ", b"XYZ ", tags | {f"{c}TRC".encode(): _gamma(gamma) for c in "rgb"}
    )


def _cmyk() -> bytes:
    """Make a press: a table of two points for each ink, in CIELAB of 8 bits."""
    inks = ((140, 90, 80), (120, 200, 120), (220, 120, 215), (30, 128, 128))  # on paper alone
    identity = bytes(range(256))
    grid = b""
    for amounts in itertools.product((0, 1), repeat=4):
        lab = [255.0, 128.0, 128.0]
        for amount, ink in zip(amounts, inks, strict=True):
            if amount:
                lab = [lab[0] * ink[0] / 255, lab[1] + ink[1] - 128, lab[2] + ink[2] - 128]
        grid += bytes(min(255, max(0, round(value))) for value in lab)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return _profile(
        b"prtr", b"CMYK", b"Lab ", {b"A2B0": table + identity * 4 + grid + identity * 3}
    )


DISPLAY_P3 = _rgb(
    2.2, (0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)
)
ADOBE_RGB = _rgb(
    2.19922, (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)
)
GREY = _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(1.0)})
"""Linear: the middle grey of sRGB is dark in it."""
CMYK = _cmyk()
