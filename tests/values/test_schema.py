"""The short form of schemas, files of them, and refusals in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assistant.families.grammar import check_schema
from assistant.values.errors import SchemaError
from assistant.values.schema import LONGEST, read_schema

TEXT = {"type": "string"}


def fields(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def a_list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


@pytest.mark.parametrize(
    ("short", "schema"),
    [
        ("shop", fields(shop=TEXT)),
        ("shop, total float", fields(shop=TEXT, total={"type": "number"})),
        ("n int\nis_new bool\nday DATE", fields(
            n={"type": "integer"}, is_new={"type": "boolean"},
            day={"type": "string", "format": "date"})),
        ("kind cash|card,", fields(kind={"enum": ["cash", "card"]})),
        ("tags[], sizes[] int", fields(tags=a_list(TEXT), sizes=a_list({"type": "integer"}))),
        ("shop, items[]: name, price float; note", fields(
            shop=TEXT, items=a_list(fields(name=TEXT, price={"type": "number"})), note=TEXT)),
        ("shop: name, town: city, zip int;; note", fields(
            shop=fields(name=TEXT, town=fields(city=TEXT, zip={"type": "integer"})), note=TEXT)),
        ("[]: größe, 名前", a_list({**fields(größe=TEXT, 名前=TEXT)})),
        ("[] float", a_list({"type": "number"})),
        ("  \n a \n\n b ", fields(a=TEXT, b=TEXT)),
    ],
)  # fmt: skip
def test_the_short_form(short: str, schema: dict[str, Any]) -> None:
    text = read_schema(short)
    assert json.loads(text) == schema
    assert read_schema(text) == text, "what is stored is read again"
    check_schema(text)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("a b c", "no type b"),
        ("a float int", "where a comma is expected"),
        ("a[]]", "no [ or ]"),
        ("[a]", "no [ or ]"),
        (": x", "no name before"),
        ("a; b", "semicolon"),
        ("a, a", "twice"),
        ("cat|dog", "as in: kind cat|dog"),
        ("a:", "no fields"),
        (",", "no fields"),
        ("no/such.json", "can't be read"),
        ("{'a': 1}", "not JSON"),
        ('{"a": ', "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"title": "' + "x" * LONGEST + '"}', "at most"),
        ('{"title": "\\ud800"}', "Unicode"),
    ],
)
def test_what_is_no_schema_is_one_sentence(source: str, why: str) -> None:
    with pytest.raises(SchemaError) as refused:
        read_schema(source)
    assert why in str(refused.value)
    assert refused.value.code == "schema"
    assert len(str(refused.value)) < 300


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    path.write_text('\ufeff{"type": "object"}\n', encoding="utf-8")
    assert read_schema(str(path)) == '{"type": "object"}'
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(SchemaError, match="no object"):
        read_schema(str(path))
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(SchemaError, match="UTF-8"):
        read_schema(str(path))
    with pytest.raises(SchemaError, match="can't be read"):
        read_schema(f"{tmp_path}/.json")


def test_none_is_none() -> None:
    assert read_schema(" ") == ""
