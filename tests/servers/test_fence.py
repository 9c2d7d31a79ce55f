"""The fence around JSON that a server was given a schema for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from assistant.servers.chances import SentChances
from assistant.servers.fence import unfenced
from assistant.values.conversation import Draft
from assistant.values.errors import ModelError
from assistant.values.sampling import Sampling
from assistant.values.schema import read_schema
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Server, saying
from tests.servers.test_chances import token
from tests.servers.test_server_core import ended, spoken

JSON = '{\n  "colour": "red",\n  "note": "``` is no end"\n}'
FENCED = [
    f"```json\n{JSON}\n```",
    f"```\n{JSON}\n```\n",
    f"\n ```JSON  \r\n{JSON}\r\n```  \n",
    f"```{JSON}```",
]
PLAIN = [
    JSON,
    "",
    "`",
    "``",
    "```",
    "Red.",
    f"Here it is:\n```json\n{JSON}\n```",
    "```python\n1\n```",
]


def taken_off(pieces: list[str]) -> str:
    return "".join(str(one) for one in unfenced(iter(pieces), SentChances()))


def cuts(text: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(ends)]


@given(text=st.sampled_from(FENCED), places=st.lists(st.integers(0, 200)))
def test_a_fence_is_taken_off_however_it_is_cut(text: str, places: list[int]) -> None:
    assert taken_off(cuts(text, places)) == JSON


@given(text=st.sampled_from(PLAIN), places=st.lists(st.integers(0, 200)))
def test_what_has_no_fence_stays(text: str, places: list[int]) -> None:
    assert taken_off(cuts(text, places)) == text


def test_nothing_that_came_is_lost_when_the_server_breaks_off() -> None:
    def breaking() -> Iterator[str]:
        yield "```json\n{"
        yield '"a": 1}\n``'
        raise ModelError("It broke off.")

    pieces = unfenced(breaking(), SentChances())
    assert [next(pieces), next(pieces), next(pieces)] == ["{", '"a": 1}', "\n``"]
    with pytest.raises(ModelError):
        next(pieces)


def test_an_answer_in_a_fence_obeys_its_schema(server: Server, make: MakeEngine) -> None:
    """As the app, ask and batch see it; without a schema a fence is a block of code."""
    engine = make()
    server.answers = [saying("```", "json\n", '{"colour":', ' "red"}', "\n", "```")] * 2
    by_schema = Sampling(schema=read_schema("colour red|blue"))
    events = list(engine.send(None, Draft("Colour?", ()), by_schema))
    assert json.loads(ended(events).text) == {"colour": "red"}
    assert spoken(events) == ended(events).text
    assert not engine.model.status().warning
    assert ended(list(engine.send(None, Draft("Colour?", ())))).text.startswith("```json")


def test_chances_of_an_answer_in_a_fence() -> None:
    chances = SentChances()
    texts = ["```", "json\n", '{"a": ', "1}", "\n```"]
    for text in texts:
        chances.take({"content": [token(text)]})
    pieces = [chances.put_on(str(one)) for one in unfenced(iter(texts), chances)]
    assert sum(chance is not None for _, found in pieces for chance in found) == 2
