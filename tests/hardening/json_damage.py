"""Damage of JSON: each value of a document replaced by values of other types and sizes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]

EVIL: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 10**400,
    0.5, -0.5, 1e308, -1e308, 1e-320, 65504.0, 70000.0, 800.0, -800.0, float("inf"), float("nan"),
    "", "a", "\x00", "a\x00b", "\x1b[31m\x9b2J\u202e", "x" * 5000, "é" * 300, "\ud83d", "9" * 5000,
    "²", "٣", "0" * 64, "../../etc/passwd",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "9998-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00", "2026-01-01T00:00:00.123456789Z",
    [], {}, [[]], [1], [-1], [300], ["a"], [None], {"a": 1}, {"text": 5},
)  # fmt: skip


def places(node: Any, at: Place = (), *, items: int = 3, names: int = 40) -> Iterator[Place]:
    """Yield the place of every value, of the first ``items`` of each list.

    An object of more than ``names`` members is a table, of which six are enough.
    """
    yield at
    if isinstance(node, dict):
        keys = list(node)
        for key in keys if len(keys) <= names else keys[:6]:
            yield from places(node[key], (*at, key), items=items, names=names)
    elif isinstance(node, list):
        for number, value in enumerate(node[:items]):
            yield from places(value, (*at, number), items=items, names=names)


def put(document: Any, place: Place, value: Any) -> Any:
    """Return the document with another value at a place."""
    if not place:
        return value
    made = node = copy.deepcopy(document)
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return made


def damaged(document: Any) -> list[tuple[Place, Any]]:
    """Return every damage of a document."""
    return [(place, value) for place in places(document) for value in EVIL]


def written(document: Any) -> bytes | None:
    """Return a document in JSON as Python and others write it; None for one that can't be."""
    try:
        return json.dumps(document).encode()
    except ValueError:  # a number of too many digits
        return None
