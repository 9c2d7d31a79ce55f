"""Colours of HEIC and AVIF that are named by numbers (nclx) in place of a profile.

Numbers: ITU-T H.273, tables 2 and 3. Phones write Display P3 so.
"""

from __future__ import annotations

import struct

_HEAD = 1 << 16
"""Bytes in which such a file describes itself."""

_PRIMARIES = {
    12: ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)),
    9: ((0.67348, 0.27904, -0.00194), (0.16567, 0.67534, 0.02998), (0.12505, 0.04562, 0.79687)),
}
"""Display P3 and BT.2020, as XYZ adapted to D50."""

_LIKE_SRGB = frozenset({1, 2, 6, 13, 14, 15})
"""Curves that viewers take for that of sRGB; the others are of high dynamic range."""

_POINTS = 1024


def profile(data: bytes) -> bytes | None:
    """Make the ICC profile of a file's colours; None where they are sRGB, or of another kind."""
    at = data.find(b"colrnclx", 0, _HEAD)
    if at < 0 or len(data) < at + 12:
        return None
    primaries, curve = struct.unpack_from(">HH", data, at + 8)
    if primaries not in _PRIMARIES or curve not in _LIKE_SRGB:
        return None
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249)}
    for letter, xyz in zip((b"r", b"g", b"b"), _PRIMARIES[primaries], strict=True):
        tags |= {letter + b"XYZ": _xyz(*xyz), letter + b"TRC": _curve()}
    return _written(tags)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve() -> bytes:
    steps = (step / (_POINTS - 1) for step in range(_POINTS))
    linear = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in steps)
    values = [round(65535 * one) for one in linear]
    return b"curv\0\0\0\0" + struct.pack(f">I{_POINTS}H", _POINTS, *values)


def _written(tags: dict[bytes, bytes]) -> bytes:
    """Write a profile of version 2: header, table of tags, their data."""
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    header = struct.pack(">I4sI", start + len(data), b"none", 0x02400000) + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642, 1, 0.8249)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + data
