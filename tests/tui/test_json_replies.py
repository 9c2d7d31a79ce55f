"""Answers in JSON in the app: /schema, and tables in their place."""

from __future__ import annotations

import json

from tests.tui.desk import NARROW, Desk, area, idle, notices, sees, send, shown, until
from tui.markdown.json_tables import as_tables


async def test_a_schema_of_a_new_chat_is_kept_and_ended(desk: Desk) -> None:
    desk.say('{"shop": "Lidl"}')
    async with desk.app().run_test(size=NARROW) as pilot:
        await send(pilot, "/schema shop, kind a b")
        await until(pilot, lambda: any("no type a" in one for one in notices(pilot)), "why")
        await until(pilot, lambda: bool(area(pilot).text), "it is back")
        area(pilot).text = ""
        await send(pilot, '/schema {"not": {}}')
        await until(pilot, lambda: any("can't be obeyed" in one for one in notices(pilot)), "why")
        await until(pilot, lambda: bool(area(pilot).text), "it is back")
        area(pilot).text = ""
        await send(pilot, "/schema shop")
        await until(pilot, lambda: any("JSON by this schema" in one for one in notices(pilot)), "")
        await send(pilot, "Read it")
        await sees(pilot, "│ Lidl")
        await idle(pilot)
        session = desk.engine.store.latest_session()
        assert session is not None
        stored = desk.engine.store.conversation(session)
        schema = json.loads(stored.parameters.get("schema"))
        assert list(schema["properties"]) == ["shop"]
        assert stored.turns[-1].parameters is not None
        assert stored.turns[-1].parameters.get("schema") == stored.parameters.get("schema")
        assert stored.turns[-1].text == '{"shop": "Lidl"}'
        await send(pilot, "/schema")
        await until(pilot, lambda: any("words again" in one for one in notices(pilot)), "a word")
        assert desk.engine.store.conversation(session).parameters.get("schema") is None


async def test_a_stored_reply_in_json_is_a_table_and_other_text_is_not(desk: Desk) -> None:
    rows = '[{"name": "a|b", "price": 2.5}, {"name": "*c*", "price": null}]'
    session = desk.chat("q", rows, "r", '{"broken": ')
    async with desk.app(session).run_test(size=NARROW) as pilot:
        await sees(pilot, "*c*")
        assert "a|b" in shown(pilot)
        assert "─┼─" in shown(pilot)
        assert '{"broken":' in shown(pilot)


def test_tables_of_values() -> None:
    text = '{"total": 3, "tags": ["a", "b"], "items": [{"n": 1}, {"m": true}], "shop": {"x": "y"}}'
    assert as_tables(text) == (
        "| field | value |\n| --- | --- |\n| total | 3 |\n| tags | a, b |\n\n"
        "**items**\n\n| n | m |\n| --- | --- |\n| 1 |  |\n|  | true |\n\n"
        "**shop**\n\n| field | value |\n| --- | --- |\n| x | y |"
    )
    escaped = as_tables('{"a": "[x](http://y) <b> `c`"}')
    assert escaped == (
        "| field | value |\n| --- | --- |\n| a | \\[x\\]\\(http\\://y\\) \\<b\\> \\`c\\` |"
    )
    for other in ("", "Hello", "[]", "{}", "[1, 2]", '[{"a": 1}, 2]', '"x"', "{" * 5000, "{a}"):
        assert as_tables(other) is None, other
