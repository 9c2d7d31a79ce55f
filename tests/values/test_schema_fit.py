"""Whether an answer is what its schema asked for."""

from __future__ import annotations

import json

import pytest

from assistant.values.schema import read_schema
from assistant.values.schema_fit import misfit

BILL = read_schema("shop, total float, kind cash|card, items[]: name, price float")
GOOD = {"kind": "cash", "shop": "x", "total": 2, "items": [{"name": "a", "price": 1.5}]}


def test_an_answer_that_obeys_in_another_order_of_fields() -> None:
    assert misfit(json.dumps(GOOD), BILL) is None
    assert misfit("no JSON at all", "") is None
    assert misfit("1.1", '{"type": "number", "multipleOf": 0.01}') is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"total": "2"}, "at total, '2' is not of type 'number'"),
        ({"kind": "coins"}, "at kind, 'coins' is not one of ['cash', 'card']"),
        ({"tip": 1}, "Additional properties are not allowed ('tip' was unexpected)"),
        ({"items": [{"name": "a"}]}, "at items[0], 'price' is a required property"),
        ({"shop": ["x\x1b[31m" * 99]}, "at shop, "),
    ],
)
def test_the_reason_names_the_place(changed: dict[str, object], words: str) -> None:
    fault = misfit(json.dumps(GOOD | changed), BILL)
    assert fault is not None
    assert fault.code == "off_schema"
    assert words in str(fault)
    assert "\x1b" not in str(fault)
    assert len(str(fault)) < 300


@pytest.mark.parametrize("text", ["", "{", "Red.", '{"a": NaN}', "[" * 200_000])
def test_what_is_no_json(text: str) -> None:
    fault = misfit(text, BILL)
    assert fault is not None
    assert fault.code == "no_json"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"pattern": "(?<x"},
        {"properties": {"a": {"type": "quark"}}},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
    ],
)
def test_a_schema_that_cannot_be_checked_is_taken_for_obeyed(schema: dict[str, object]) -> None:
    """Nothing is fetched, and no library's error ends a reply that is there."""
    text = '"a"' if "pattern" in schema else '{"a": 1}'
    assert misfit(text, json.dumps(schema)) is None
