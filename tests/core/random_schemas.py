"""Random schemas that end by themselves, and a check of values against them."""

from __future__ import annotations

import datetime
import re
from random import Random
from typing import Any

WORDS = ("shop", "total", "ä ö", 'a"b', "名前", "x\\y", "items", "day", "😀", "{", "tab\t")


def random_schema(random: Random, depth: int = 3) -> dict[str, Any]:
    """Nested objects and lists above ``depth`` 0, values below; texts and lists have limits."""
    kinds = [_text, _integer, _number, _choice, _constant, _flag, _nothing, _date, _pattern]
    if depth:
        kinds = [_object, _object, _list, _any, *kinds]
    return random.choice(kinds)(random, depth)


def _object(random: Random, depth: int) -> dict[str, Any]:
    names = random.sample(WORDS, random.randint(1, 3))
    return {
        "type": "object",
        "properties": {name: random_schema(random, depth - 1) for name in names},
        "required": [name for name in names if random.random() < 0.8],
        "additionalProperties": False,
    }


def _list(random: Random, depth: int) -> dict[str, Any]:
    low = random.randint(0, 2)
    items = random_schema(random, depth - 1)
    return {"type": "array", "items": items, "minItems": low, "maxItems": low + 1}


def _any(random: Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [random_schema(random, depth - 1) for _ in range(2)]}


def _text(random: Random, depth: int) -> dict[str, Any]:
    low = random.randint(0, 3)
    return {"type": "string", "minLength": low, "maxLength": low + random.randint(0, 6)}


def _integer(random: Random, depth: int) -> dict[str, Any]:
    if random.random() < 0.5:
        return {"type": "integer"}
    low = random.randint(-1000, 1000)
    return {"type": "integer", "minimum": low, "maximum": low + random.randint(0, 5000)}


def _number(random: Random, depth: int) -> dict[str, Any]:
    return {"type": "number"}


def _choice(random: Random, depth: int) -> dict[str, Any]:
    return {"enum": random.sample((*WORDS, 1, 2.5, True, None), 3)}


def _constant(random: Random, depth: int) -> dict[str, Any]:
    return {"const": random.choice((*WORDS, 7, [1, "a"], {"k": None}))}


def _flag(random: Random, depth: int) -> dict[str, Any]:
    return {"type": "boolean"}


def _nothing(random: Random, depth: int) -> dict[str, Any]:
    return {"type": "null"}


def _date(random: Random, depth: int) -> dict[str, Any]:
    return {"type": "string", "format": "date"}


def _pattern(random: Random, depth: int) -> dict[str, Any]:
    return {
        "type": "string",
        "pattern": random.choice(("^[a-f]{2,4}$", "^(yes|no)$", "^é+x{1,3}$")),
    }


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Say whether a value obeys one of these schemas, without any library."""
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return any(_same(value, one) for one in schema["enum"])
    if "const" in schema:
        return _same(value, schema["const"])
    match schema["type"]:
        case "object":
            return (
                isinstance(value, dict)
                and set(schema["required"]) <= value.keys() <= schema["properties"].keys()
                and all(fits(one, schema["properties"][name]) for name, one in value.items())
            )
        case "array":
            return (
                isinstance(value, list)
                and schema["minItems"] <= len(value) <= schema["maxItems"]
                and all(fits(one, schema["items"]) for one in value)
            )
        case "string":
            return isinstance(value, str) and _fits_text(value, schema)
        case "integer":
            low, high = schema.get("minimum", -(2**53)), schema.get("maximum", 2**53)
            return type(value) is int and low <= value <= high
        case "number":
            return type(value) in (int, float)
        case "boolean":
            return type(value) is bool
    return value is None


def _fits_text(text: str, schema: dict[str, Any]) -> bool:
    if schema.get("format") == "date":
        # the year 0 is one of RFC 3339 and none of Python
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and _is_date("2" + text[1:])
    low, high = schema.get("minLength", 0), schema.get("maxLength", 100)
    is_long_enough = low <= len(text) <= high
    return is_long_enough and bool(re.search(schema.get("pattern", ""), text))


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
