"""Replies in JSON as Markdown tables: rows of objects, fields of an object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

LONGEST = 100_000
"""Characters of a reply that is looked at: a longer one stays as it was written."""

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~:@&])")


def as_tables(text: str) -> str | None:
    """Return a reply that is a JSON object or list of objects as Markdown; None for any other."""
    text = text.strip()
    if not text.startswith(("{", "[")) or len(text) > LONGEST:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not (_is_fields(value) or _is_rows(value)):
        return None
    return "\n\n".join(_tables("", value))


def _is_fields(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_fields, value))


def _tables(name: str, value: Any) -> Iterator[str]:
    """Yield a table of a value, and after it those of the lists of objects that it holds."""
    title = f"**{_cell(name)}**\n\n" if name else ""
    if isinstance(value, list):
        names = list(dict.fromkeys(key for row in value for key in row))
        yield title + _table(names, ([row.get(key, "") for key in names] for row in value))
        return
    inner = {key: one for key, one in value.items() if _is_fields(one) or _is_rows(one)}
    rows = [[key, one] for key, one in value.items() if key not in inner]
    if rows:
        yield title + _table(["field", "value"], rows)
    for key, one in inner.items():
        yield from _tables(f"{name}.{key}" if name else key, one)


def _table(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = [_cell(name) for name in names]
    lines = [head, ["---"] * len(head), *(map(_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(value: Any) -> str:
    """Write a value as text in which nothing is Markdown."""
    if isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        return ", ".join(map(_cell, value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
