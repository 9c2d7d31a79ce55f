"""Schemas of answers: a JSON Schema from a file, from text, or from a short form.

The short form lists fields, parted by commas, each a name and a type that may be left out (text)::

    shop, day date, total float, kind cash|card, items[]: name, price float; note

``name[]`` is a list. What follows a colon are the fields of an object, up to a semicolon or the
end. ``[]: name, price float`` is a list of objects as the whole answer.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from assistant.values.errors import SchemaError
from assistant.values.words import counted

LONGEST = 65_536
"""Characters: every reply keeps its schema, and none that a person writes is longer."""

_NAMES = {
    "string": ("text", "str", "string"),
    "integer": ("int", "integer"),
    "number": ("float", "number"),
    "boolean": ("bool", "boolean"),
}
TYPES: dict[str, dict[str, Any]] = {
    name: {"type": kind} for kind, names in _NAMES.items() for name in names
} | {"date": {"type": "string", "format": "date"}}
"""Types of the short form."""

_TOKEN = re.compile(r"[,:;\n]|\[\]|[^\s,:;\[\]]+|[^\S\n]+")
_NO_TEXT = re.compile("[\ud800-\udfff]")


def read_schema(source: str) -> str:
    """Return the JSON Schema that ``source`` is, names as a file, or says in the short form.

    The empty text stays: no schema. Raises SchemaError.
    """
    source = source.strip()
    if not source:
        return ""
    is_json = source.startswith("{")
    if not is_json and (source.lower().endswith(".json") or _is_file(source)):
        source, is_json = _read_file(source), True
    schema = _parsed(source) if is_json else _Short(source).schema()
    text = json.dumps(schema, ensure_ascii=False)
    if len(text) > LONGEST or _NO_TEXT.search(text):
        raise SchemaError(f"A schema is Unicode text of {counted(LONGEST, 'character')} at most.")
    return text


def _is_file(source: str) -> bool:
    try:
        return os.path.isfile(os.path.expanduser(source))
    except (OSError, ValueError):
        return False


def _read_file(name: str) -> str:
    try:
        with Path(name).expanduser().open(encoding="utf-8-sig") as file:
            return file.read(4 * LONGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SchemaError(f"The schema {name} can't be read: {reason}.") from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"The schema is not JSON ({error}).") from None
    if not isinstance(schema, dict):
        raise SchemaError("The schema is JSON, but no object: it begins with { and has a type.")
    return schema


class _Short:
    """Parser of the short form."""

    def __init__(self, text: str) -> None:
        self._tokens = [one for one in _TOKEN.findall(text) if one == "\n" or not one.isspace()]
        if "".join(self._tokens) != re.sub(r"[^\S\n]+", "", text):
            raise SchemaError("The short form of a schema has no [ or ] but in a list: name[].")

    def schema(self) -> dict[str, Any]:
        """Return the whole schema. Raises SchemaError."""
        while self._next() == "\n":
            self._tokens.pop(0)
        schema = self._rest() if self._next() == "[]" else self._fields()
        if self._tokens:
            raise SchemaError("The schema has a semicolon, and no fields of a list to end there.")
        return schema

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _fields(self) -> dict[str, Any]:
        """Take fields up to a semicolon or the end."""
        fields: dict[str, Any] = {}
        while self._tokens and self._next() != ";":
            name = self._tokens.pop(0)
            if name in ("\n", ","):
                continue
            if name in (":", "[]"):
                raise SchemaError(f"A field of the schema has no name before “{name}”.")
            if name in fields:
                raise SchemaError(f"The schema has the field {name} twice.")
            if "|" in name:
                raise SchemaError(
                    f"“{name}” are words to choose from: name the field before them, as in: "
                    f"kind {name}"
                )
            fields[name] = self._rest()
        if not fields:
            raise SchemaError("The schema has no fields: name some, as in: shop, total float")
        return {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }

    def _rest(self) -> dict[str, Any]:
        """Take what may follow a name: [], a type, fields after a colon."""
        is_list = self._next() == "[]"
        if is_list:
            self._tokens.pop(0)
        schema = TYPES["text"]
        if self._next() and self._next() not in ("\n", ",", ":", ";"):
            schema = _type(self._tokens.pop(0))
        if self._next() == ":":
            self._tokens.pop(0)
            schema = self._fields()
            if self._next() == ";":
                self._tokens.pop(0)
        elif self._next() not in ("", "\n", ",", ";"):
            raise SchemaError(
                f"The schema has “{self._next()}” where a comma is expected: "
                "fields are a name and a type."
            )
        return {"type": "array", "items": schema} if is_list else schema


def _type(word: str) -> dict[str, Any]:
    if "|" in word:
        return {"enum": [one for one in word.split("|") if one]}
    try:
        return TYPES[word.lower()]
    except KeyError:
        raise SchemaError(
            f"The schema has no type {word}: there are text, int, float, bool, date, "
            "and words to choose from, as in yes|no."
        ) from None
