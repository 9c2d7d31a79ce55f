"""Whether an answer is what a schema asked for: a server may take a schema and not obey it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NoReturn

from assistant.values.errors import PhichatError
from assistant.values.text import one_line

NO_JSON = "no_json"
"""Code of an answer that is not the JSON that a schema asked for."""
OFF_SCHEMA = "off_schema"
"""Code of an answer that is JSON, and not as the schema wants it."""

_LONGEST_REASON = 160


@lru_cache(maxsize=1)  # of one answer a client warns, and a command says and exits by the same
def checked(text: str, schema: str) -> tuple[object, PhichatError | None]:
    """Return the value of a whole answer, and what it lacks of its schema; None if it obeys.

    A part of a schema that can't be checked (a pattern in another dialect, a reference to an
    address, which is never fetched) is taken for obeyed.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None, PhichatError(
            "The answer is not JSON, though a schema was given.", code=NO_JSON
        )
    reason = _first_fault(value, json.loads(schema))
    words = f"The answer is JSON, and not as the schema wants it: {reason}."
    return value, PhichatError(words, code=OFF_SCHEMA) if reason else None


def misfit(text: str, schema: str) -> PhichatError | None:
    """Say what a whole answer lacks of its schema; None if it obeys, or there is no schema."""
    return checked(text, schema)[1] if schema else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _first_fault(value: object, schema: dict[str, Any]) -> str:
    # imported here: 0.1 s that only an answer with a schema needs
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry

    validator = validator_for(schema, default=Draft202012Validator)
    try:
        faults = validator(schema, registry=Registry()).iter_errors(value)
        # 1.1 is a multiple of 0.01, and not for the library, which divides doubles
        fault = best_match(one for one in faults if one.validator != "multipleOf")
    except Exception:  # each part of a schema has errors of its own kind
        return ""
    if fault is None:
        return ""
    place = fault.json_path.removeprefix("$").removeprefix(".")
    reason = one_line(fault.message, _LONGEST_REASON)
    return f"at {one_line(place, _LONGEST_REASON)}, {reason}" if place else reason
