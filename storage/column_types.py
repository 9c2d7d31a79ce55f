"""Column types: each converts between a database value and a Python value.

A value that can't be read, because a disk or another program damaged it, becomes the type's
``unreadable`` value: one bad cell must not make a whole list unreadable. ``damaged`` is the
condition in SQLite that finds such values, for the report on a database.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, ClassVar, TypeVar

from sqlalchemy import JSON, Boolean, DateTime, Dialect, Integer, LargeBinary, String, Text
from sqlalchemy.types import TypeDecorator

from assistant.values.chances import OTHERS, Chance, Chances
from assistant.values.conversation import UNREADABLE_MOMENT
from assistant.values.sampling import PARAMETERS, Parameters

T = TypeVar("T")

_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, struct.error)
"""Exceptions of conversions that were given something else than what they expect."""


def utc_now() -> datetime:
    """Return this moment, as it is stored."""
    return datetime.now(UTC)


class Tolerant(TypeDecorator[T]):
    """A type whose ``unreadable`` value stands for whatever can't be converted."""

    __abstract__ = True
    unreadable: T | None = None
    damaged: str = "false"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], T | None]:
        read = super().result_processor(dialect, coltype) or (lambda value: value)

        def tolerant(value: Any) -> T | None:
            try:
                return read(value)
            except _ERRORS:
                return self.unreadable

        return tolerant


class Words(Tolerant[str]):
    """Text. Bytes are read as UTF-8, other values in their usual form."""

    impl = Text
    cache_ok = True
    damaged = "typeof({column}) NOT IN ('text', 'null')"

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return value if value is None or isinstance(value, str) else str(value)


class Name(Words):
    """Text of at most so many characters."""

    impl = String  # type: ignore[assignment]
    cache_ok = True


class Whole(Tolerant[int]):
    """A whole number from ``lowest`` to 2,147,483,647; 1 stands for anything else."""

    impl = Integer
    cache_ok = True
    unreadable = 1

    def __init__(self, lowest: int = 1) -> None:
        super().__init__()
        self.lowest = lowest
        self.damaged = (
            "{column} IS NOT NULL AND (typeof({column}) <> 'integer' OR "
            f"{{column}} NOT BETWEEN {lowest} AND 2147483647)"
        )

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is not None and not (type(value) is int and self.lowest <= value < 1 << 31):
            raise ValueError("no number of this range")
        return value


class Flag(Tolerant[bool]):
    """True or false; anything unreadable is false."""

    impl = Boolean
    cache_ok = True
    unreadable = False
    damaged = "{column} NOT IN (0, 1)"


class Blob(Tolerant[bytes]):
    """Bytes; what is neither bytes nor text is empty."""

    impl = LargeBinary
    cache_ok = True
    unreadable = b""
    damaged = "typeof({column}) NOT IN ('blob', 'null')"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        read = super().result_processor(dialect, coltype)

        def checked(value: Any) -> bytes | None:
            # bytes(number) would make as many zeros
            if isinstance(value, str):
                return value.encode(errors="replace")
            return b"" if isinstance(value, int | float) else read(value)

        return checked


class UtcDateTime(Tolerant[datetime]):
    """A moment, timezone-aware and in UTC on the Python side.

    SQLite has no time zones, so there it is stored as naive UTC text, which sorts as the moments
    do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True
    unreadable = UNREADABLE_MOMENT
    damaged = "{column} IS NOT NULL AND (typeof({column}) <> 'text' OR julianday({column}) IS NULL)"

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


class TokenIds(Tolerant[tuple[int, ...]]):
    """Token ids as bytes: one byte that gives the width (2 or 4), then little-endian integers.

    The vocabulary of the Phi-3 family fits into two bytes an id; four are for others.
    Unreadable ids are none: the text is tokenized in their place.
    """

    impl = Blob
    cache_ok = True
    damaged = (
        "{column} IS NOT NULL AND (typeof({column}) <> 'blob' "
        "OR length({column}) % 2 <> 1 OR hex(substr({column}, 1, 1)) NOT IN ('02', '04'))"
    )

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


class TokenChances(Tolerant[Chances]):
    """Chances of tokens as bytes: one byte with the number n of runners-up, then for each token.

    A float of 4 bytes for itself; n ids of 4 bytes and floats of 2, -inf where there is none.
    A sum over thousands of tokens stays exact to 1e-4, and a percentage takes no more than that.
    Where runners-up are texts, the first byte is a T. Then come for each id the number of its
    runners-up, or 255 where it goes on with a token; a float of 4 bytes for itself; and for each
    runner-up a float of 2, the length of its text, and that in UTF-8.
    """

    impl = Blob
    cache_ok = True
    damaged = (
        "{column} IS NOT NULL AND (typeof({column}) <> 'blob' "
        f"OR hex(substr({{column}}, 1, 1)) NOT IN ('{OTHERS:02X}', '54') "
        f"OR (hex(substr({{column}}, 1, 1)) = '{OTHERS:02X}' "
        f"AND length({{column}}) % {4 + 6 * OTHERS} <> 1))"
    )
    _TOKEN = struct.Struct("<f" + "Ie" * OTHERS)
    _NONE = (0, -math.inf)
    _LOWEST = -65_504.0
    """Of a float of 2 bytes."""
    _TEXTS = b"T"
    _FIRST, _OTHER = struct.Struct("<Bf"), struct.Struct("<eB")
    _GOES_ON = 255

    def process_bind_param(self, value: Chances | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        if any(one is None or any(isinstance(other, str) for other, _ in one[1]) for one in value):
            return self._TEXTS + b"".join(map(self._with_texts, value))
        rows = [bytes([OTHERS])]
        for logprob, others in filter(None, value):
            kept = [(token, max(chance, self._LOWEST)) for token, chance in others[:OTHERS]]
            kept += [self._NONE] * (OTHERS - len(kept))
            rows.append(self._TOKEN.pack(logprob, *chain.from_iterable(kept)))
        return b"".join(rows)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Chances | None:
        if value is None:
            return None
        if value[:1] == self._TEXTS:
            return tuple(self._of_texts(memoryview(value)[1:]))
        if value[0] != OTHERS:
            raise ValueError("chances of another form")
        found = []
        for logprob, *rest in self._TOKEN.iter_unpack(value[1:]):
            pairs = zip(rest[::2], rest[1::2], strict=True)
            others = tuple((token, chance) for token, chance in pairs if chance > -math.inf)
            found.append(Chance(logprob, others))
        return tuple(found)

    def _with_texts(self, chance: Chance | None) -> bytes:
        if chance is None:
            return bytes([self._GOES_ON])
        logprob, others = chance
        texts = [(str(text).encode("utf-8", "replace"), likely) for text, likely in others]
        kept = [(text, likely) for text, likely in texts if len(text) < 256][:OTHERS]
        rows = (self._OTHER.pack(max(one, self._LOWEST), len(text)) + text for text, one in kept)
        return self._FIRST.pack(len(kept), logprob) + b"".join(rows)

    def _of_texts(self, value: memoryview) -> Iterator[Chance | None]:
        at = 0
        while at < len(value):
            if value[at] == self._GOES_ON:
                at += 1
                yield None
                continue
            count, logprob = self._FIRST.unpack_from(value, at)
            at += self._FIRST.size
            others = []
            for _ in range(count):
                likely, length = self._OTHER.unpack_from(value, at)
                at += self._OTHER.size + length
                others.append((str(value[at - length : at], "utf-8"), likely))
            yield Chance(logprob, tuple(others))


class Choice(Tolerant[StrEnum]):
    """A member of a StrEnum, stored as its text; ``unreadable`` stands for another text."""

    impl = String(16)
    cache_ok = True

    def __init__(self, unreadable: StrEnum) -> None:
        super().__init__()
        self.unreadable = unreadable
        self.kind = type(unreadable)
        self.damaged = f"{{column}} NOT IN ({', '.join(repr(str(one)) for one in self.kind)})"

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class Value(Tolerant[Any]):
    """A small value (a dataclass, or sampling parameters), stored as a JSON object of its fields.

    Fields that are None are left out; unknown fields, which a later version wrote, are ignored.
    Anything with attributes of these names can be stored. A value with a field of a wrong type is
    unreadable as a whole.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True
    damaged = (
        "{column} IS NOT NULL AND CASE WHEN json_valid({column}) "
        "THEN json_type({column}) <> 'object' ELSE true END"
    )

    _KINDS: ClassVar = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}

    def __init__(self, kind: type) -> None:
        super().__init__(none_as_null=True)
        self.kind = kind
        self.types = {} if kind is Parameters else {f.name: str(f.type) for f in fields(kind)}
        self.names = frozenset(self.types or PARAMETERS)

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
        if not isinstance(value, dict):
            raise TypeError("no object")
        read = {name: self._field(name, value[name]) for name in self.names & value.keys()}
        return self.kind(**read)

    def _field(self, name: str, value: Any) -> Any:
        value = tuple(value) if isinstance(value, list) else value
        if self.kind is Parameters:
            kinds = (type(None), int, *PARAMETERS[name].kinds)
        else:
            kinds = self._KINDS[self.types[name]]
        parts = value if isinstance(value, tuple) else ()
        is_whole = isinstance(value, kinds) and all(isinstance(one, str) for one in parts)
        if not is_whole or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"no {name}")
        return value
