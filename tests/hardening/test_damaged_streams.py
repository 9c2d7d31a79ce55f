"""Damaged answers of servers: each field of a stream, a list, a refusal replaced by others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from assistant.engine.engine import Engine
from assistant.engine.model import Model
from assistant.servers import client
from assistant.servers.client import ServerCore
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft
from assistant.values.errors import PhichatError
from storage.store import Store
from tests.hardening.json_damage import EVIL, damaged, put, written
from tests.servers.openai_server import Answer, Server, event, refusing, serving
from tests.storage.conftest import clear

FEW, MANY = 60, 4_000

_SURE = {"token": "Hel", "logprob": -0.1, "bytes": [72, 101, 108]}
CHUNKS: list[dict[str, Any]] = [
    {"id": "x", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel"}, "logprobs": {"content": [
        {**_SURE, "top_logprobs": [_SURE, {**_SURE, "token": "Hol"}]}]}}]},
    {"choices": [{"index": 0, "delta": {"content": "lo."}, "logprobs": {"content": [
        {"token": "lo.", "logprob": -0.1, "bytes": None, "top_logprobs": []}]},
        "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1}}},
]  # fmt: skip
MODELS: dict[str, Any] = {
    "object": "list",
    "data": [{
        "id": "tiny", "max_model_len": 4096, "context_length": 4096, "owned_by": "me",
        "meta": {"n_ctx": 4096}, "architecture": {"input_modalities": ["text", "image"]},
        "modalities": ["text"], "capabilities": ["x"],
    }],
    "models": [{"name": "tiny", "model": "tiny", "capabilities": ["c"]}],
}  # fmt: skip
REFUSAL: dict[str, Any] = {
    "error": {
        "message": "This model's maximum context length is 4096 tokens. However, you requested "
                   "5000 tokens (4900 in the messages, 100 in the completion).",
        "type": "BadRequestError", "param": None, "code": 400, "details": ["a"],
        "metadata": {"raw": "{}"},
    },
    "detail": [{"loc": ["body"], "msg": "At most 2 image(s) may be provided"}],
    "message": "m", "object": "error", "base_resp": {"status_msg": "no", "status_code": 1},
}  # fmt: skip
WORDS = (
    "At most {} image(s) may be provided in one request.",
    "maximum context length is {} tokens. However, you requested 9000 tokens",
    "the prompt is {} tokens, limit {}", "request too large: {} bytes max",
)  # fmt: skip
WAITS = (
    "²", "1e400", "9" * 5000, "-5", "nan", "inf", "Wed, 21 Oct 2015 07:28:00", "", ",", ";",
    "Wed, 99 Oct 99999 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359",
)  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.01)
    with serving() as one:
        yield one


def _cases() -> list[tuple[str, Any, Any]]:
    documents = {"chunks": CHUNKS, "models": MODELS, "refusal": REFUSAL}
    return [
        *((kind, *one) for kind, document in documents.items() for one in damaged(document)),
        *(("words", words, value) for words in WORDS for value in (*EVIL, 10**30, "٣٣")),
        *(("wait", status, wait) for status in (429, 503) for wait in WAITS),
    ]


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _stage(server: Server, case: tuple[str, Any, Any], chosen: random.Random) -> bool:
    """Let the server answer so; False for a damage that can't be written."""
    kind, place, value = case
    good = Answer([event(one) for one in CHUNKS] + [event("[DONE]")])
    server.models, server.answers = [{"id": "tiny", "max_model_len": 4096}], [good]
    if kind == "wait":
        server.answers = [Answer([b"{}"], place, headers={"Retry-After": value})] * 2 + [good]
    elif kind == "words":
        said = place.replace("{}", written(value)[:9000].decode()) if written(value) else place
        server.answers = [refusing(400, said)] * 2 + [good]
    else:
        document = {"chunks": CHUNKS, "models": MODELS, "refusal": REFUSAL}[kind]
        made = put(document, place, value)
        if (data := written(made)) is None:
            return False
        if kind == "models":
            server.models = Answer([data], 200, "application/json")
        elif kind == "refusal":
            status = chosen.choice((400, 413, 422, 500, 200))
            server.answers = [Answer([data], status, "application/json")] * 2 + [good]
        else:
            rows = made if isinstance(made, list) else [made]
            server.answers = [Answer([_event(json.dumps(one).encode()) for one in rows] * 1)]
    return True


def attack(server: Server, count: int, seed: int) -> tuple[int, list[str]]:
    """Ask a server that answers so, look at everything that came; returns raw errors."""
    chosen, raw, done = random.Random(seed), [], 0
    cases = _cases()
    chosen.shuffle(cases)
    store = Store.open(":memory:")
    for case in cases[:count]:
        if not _stage(server, case, chosen):
            continue
        done += 1
        clear(store)
        core = ServerCore(server.address)
        engine = Engine(store, Model(load_settings({"model": server.address}), core))
        try:
            for _ in engine.send(None, Draft("Hi")):
                pass
            for session in store.sessions(1):
                for turn in store.conversation(session.id).turns:
                    if turn.token_ids:
                        engine.tokens(turn)
                engine.prompts.context(session.id)
        except PhichatError:
            pass  # one of our sentences
        except Exception as error:
            raw.append(f"{str(case)[:200]}: {type(error).__name__}: {error}"[:400])
        finally:
            core.close()
    store.close()
    return done, raw


def test_damaged_answers_are_sentences(server: Server) -> None:
    done, raw = attack(server, FEW, seed=1)
    assert done > FEW / 2
    assert not raw


@pytest.mark.long
def test_every_damaged_answer_is_a_sentence(server: Server) -> None:
    done, raw = attack(server, MANY, seed=2)
    print(done, "answers")
    assert not raw
