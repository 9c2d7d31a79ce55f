"""Column types: what the database holds, and the Python value it stands for."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator


def utc_now() -> datetime:
    """This moment, as it is stored."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, timezone-aware and in UTC on the Python side.

    SQLite has no time zones, so there it is stored as naive UTC text, which
    sorts as the moments do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone can't be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class TokenIds(TypeDecorator[tuple[int, ...]]):
    """Token ids as bytes: one byte that gives the width (2 or 4), then little-endian integers.

    The vocabulary of the Phi-3 family fits into two bytes an id; four are for others.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: tuple[int, ...] | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        width, letter = (2, "H") if max(value, default=0) < 1 << 16 else (4, "I")
        return bytes([width]) + struct.pack(f"<{len(value)}{letter}", *value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[int, ...] | None:
        if value is None:
            return None
        width = value[0]
        letter = {2: "H", 4: "I"}[width]
        return struct.unpack(f"<{(len(value) - 1) // width}{letter}", value[1:])
