"""Column types: each converts between a database value and a Python value."""

from __future__ import annotations

import struct
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, String
from sqlalchemy.types import TypeDecorator

from assistant.values.sampling import PARAMETERS, Parameters


def utc_now() -> datetime:
    """Return this moment, as it is stored."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, timezone-aware and in UTC on the Python side.

    SQLite has no time zones, so there it is stored as naive UTC text, which sorts as the moments
    do.
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


class Choice(TypeDecorator[StrEnum]):
    """A member of a StrEnum, stored as its text."""

    impl = String(16)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class Value(TypeDecorator[Any]):
    """A small value (a dataclass, or sampling parameters), stored as a JSON object of its fields.

    Fields that are None are left out; unknown fields, which a later version wrote, are ignored.
    Anything with attributes of these names can be stored.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type) -> None:
        super().__init__(none_as_null=True)
        self.kind = kind
        self.names = frozenset(PARAMETERS if kind is Parameters else (f.name for f in fields(kind)))

    def process_bind_param(self, value: object | None, dialect: Dialect) -> dict[str, Any] | None:
        if value is None:
            return None
        if isinstance(value, Parameters):
            return value.values()
        stored = {name: getattr(value, name) for name in sorted(self.names)}
        return {name: one for name, one in stored.items() if one is not None}

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return self.kind(**{name: _from_json(value[name]) for name in self.names & value.keys()})


def _from_json(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
