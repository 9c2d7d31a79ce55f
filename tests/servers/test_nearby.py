"""Servers on this machine, found on a key: their models, those that see first, and no key sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from assistant.servers import nearby
from assistant.servers.address import parse
from assistant.servers.catalogue import models
from assistant.values.errors import ModelError
from tests.servers.openai_server import Answer, Server, refusing, serving


def port_of(server: Server) -> int:
    return urlsplit(server.address).port or 0


@pytest.mark.parametrize(
    ("said", "sees"),
    [
        ({"id": "llava:7b"}, True),
        ({"id": "Qwen2.5-VL-7B"}, True),
        ({"id": "llama3:8b"}, False),
        ({"id": "silly-evl"}, False),
        ({"id": "a", "architecture": {"input_modalities": ["text", "image"]}}, True),
        ({"id": "vision", "architecture": {"input_modalities": ["text"]}}, False),
        ({"id": "a", "capabilities": ["completion", "multimodal"]}, True),
        ({"id": "a", "capabilities": {"vision": True}}, True),
        ({"id": "vl", "capabilities": {"vision": False}}, False),
        ({"id": "a", "type": "vlm"}, True),
    ],
)
def test_which_models_see(server: Server, said: dict[str, object], sees: bool) -> None:
    server.models = [said]
    assert [one.sees for one in models(parse(server.address))] == [sees]


def test_llama_cpp_says_it_in_a_second_list(server: Server) -> None:
    body = b'{"models": [{"model": "a", "capabilities": ["multimodal"]}], "data": [{"id": "a"}]}'
    server.models = Answer([body], 200, "application/json")
    assert models(parse(server.address))[0].sees


def test_another_program_that_refuses_is_no_server(server: Server) -> None:
    """As phichat serve is, which listens on a port of these."""
    server.models = Answer(
        [b"This is phichat, and this browser was not let in.\n"], 403, "text/plain"
    )
    assert nearby.find((port_of(server),)) == ()
    with pytest.raises(ModelError, match=r"no OpenAI-compatible server at .* \(error 403\)"):
        models(parse(server.address))


def test_every_port_is_asked_and_no_key_is_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_SERVER_KEY", "planted-secret")
    server.models = [{"id": "llama3"}, {"id": "llava"}]
    with serving() as locked:
        locked.models = refusing(401, "No key.")
        found = nearby.find((port_of(server), 9, port_of(locked)))
        assert [(one.address.name.partition(":")[2].partition("/")[2], one.sees) for one in found]
        assert [(one.address.model, one.sees) for one in found] == [
            ("llava", True),
            ("llama3", False),
            (None, False),
        ]
        asked = [*server.asked, *locked.asked]
    assert len(asked) == 2
    assert not any("planted-secret" in str(one.headers) for one in asked)
