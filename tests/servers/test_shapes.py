"""Servers in the wild: what they refuse is learned once, what differs without harm is read."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from assistant.pictures import decode
from assistant.servers import client
from assistant.values.conversation import Draft, FinishReason
from assistant.values.errors import PhichatError
from assistant.values.sampling import PARAMETERS, Sampling
from tests.engine.conftest import new_session, picture, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Asked, Server, delta, event, refusing, saying
from tests.servers.test_server_core import drawn, ended, failed, spoken
from tests.tiers import few_quick


def pictures_of(asked: Asked) -> int:
    return sum(not isinstance(part, str) for _, parts in asked.said for part in parts)


# Limits that are learned


def at_most(number: int) -> Callable[[Asked], Answer | None]:
    def rule(asked: Asked) -> Answer | None:
        if pictures_of(asked) <= number:
            return None
        return refusing(400, f"At most {number} image(s) may be provided in one prompt.")

    return rule


def test_older_pictures_are_left_out_for_a_model_that_takes_one(
    server: Server, make: MakeEngine
) -> None:
    engine, server.rule = make(), at_most(1)
    session = new_session(engine, "a", picture("red"))
    turn = ended(send(engine, session, "b", picture("blue")))
    assert turn.text == "Hello."
    assert [pictures_of(one) for one in server.chats] == [1, 2, 1]
    assert "[picture 1 was left out]" in json.dumps(server.chats[-1].json)
    assert "did not take the older pictures" in engine.model.status().warning
    ended(send(engine, session, "c"))
    assert not engine.model.status().warning, "once"
    assert pictures_of(server.chats[-1]) == 1, "the last one is still seen"
    assert len(server.chats) == 4, "nothing was tried twice"
    left_out = engine.prompts.context(session).left_out
    assert [one.picture.number for one in left_out if one.picture] == [1], "and it is said"
    with pytest.raises(PhichatError, match=r"2 pictures and the model takes 1 at a time: attach"):
        send(engine, session, "d", picture("green"), picture("grey"))


def test_a_model_without_eyes_goes_on_with_text(server: Server, make: MakeEngine) -> None:
    engine, server.rule = make(), at_most(0)
    events = send(engine, None, "a", picture("red"))
    assert "choose a model that sees them" in failed(events).message
    session = engine.store.sessions()[0].id
    assert ended(send(engine, session, "Only text")).text == "Hello."
    assert pictures_of(server.chats[-1]) == 0


def test_a_model_without_eyes_in_a_chat_with_pictures(server: Server, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    server.rule = at_most(0)
    ended(send(engine, session, "b"))
    assert "not take the pictures of earlier messages" in engine.model.status().warning


def test_a_body_of_some_size(server: Server, make: MakeEngine) -> None:
    engine, sizes = make(), list[int]()

    def rule(asked: Asked) -> Answer | None:
        sizes.append(len(json.dumps(asked.json)))
        words = b"<h1>413 Request Entity Too Large</h1>"
        return None if sizes[-1] < 60_000 else Answer([words], 413, "text/html")

    server.rule = rule
    session = new_session(engine, "a", picture("red", (64, 64)))
    for size in ((300, 300), (301, 300), (1000, 1000), (1001, 1000)):
        assert ended(send(engine, session, "x" * 900, drawn(size, "a.png"))).text == "Hello."
    assert max(sizes) > 60_000
    assert ended(send(engine, session, "text")).text == "Hello."
    server.rule = lambda asked: refusing(413) if pictures_of(asked) else None
    assert "smaller pictures" in failed(send(engine, session, "b", picture("blue"))).message
    assert ended(send(engine, session, "text alone")).text == "Hello."


@pytest.mark.parametrize(
    "words",
    [
        "The decoder prompt (length {n}) is longer than the maximum model length of 1500.",
        "Input validation error: `inputs` must have less than 1500 tokens. Given: {n}",
        "prompt is too long: {n} tokens > 1500 maximum",
    ],
)
@pytest.mark.parametrize("form", ["status", "event", "named event", "whole"])
def test_a_length_in_any_words_and_shape(
    server: Server, make: MakeEngine, words: str, form: str
) -> None:
    engine = make(max_new_tokens=64)
    server.models = [{"id": "tiny"}]

    def rule(asked: Asked) -> Answer | None:
        tokens = len(json.dumps(asked.json["messages"])) // 4
        if tokens <= 1500:
            return None
        said = {"error": {"message": words.format(n=tokens)}}
        body = json.dumps(said).encode()
        match form:
            case "status":
                return Answer([body], 400, "application/json")
            case "event":
                return Answer([event(said)])
            case "named event":
                return Answer([b"event: error\ndata: %s\n\n" % json.dumps(said["error"]).encode()])
            case _:
                return Answer([body], 200, "application/json")

    server.rule = rule
    session = new_session(engine, "first " * 300)
    for _ in range(4):
        assert ended(send(engine, session, "more " * 300)).text == "Hello."


def test_a_system_message_that_is_refused_goes_before_the_question(
    server: Server, make: MakeEngine
) -> None:
    engine = make()

    def rule(asked: Asked) -> Answer | None:
        has = any(one["role"] == "system" for one in asked.json["messages"])
        return refusing(400, "Error rendering prompt: System role not supported") if has else None

    server.rule = rule
    session = new_session(engine, "Hi")
    engine.store.set_system(session, "Be brief.")
    ended(send(engine, session, "And?"))
    assert server.chats[-1].said[0] == ("user", ["Be brief.\n\nHi"])
    sent = len(server.chats)
    ended(send(engine, session, "And?"))
    assert len(server.chats) == sent + 1


FIELDS = ["stream_options", "temperature", "max_tokens", "stream",
          *(one.request for one in PARAMETERS.values() if one.only_if_set and one.group)
          ]  # fmt: skip


@pytest.mark.parametrize(
    "refused", few_quick(FIELDS[:n] for n in range(1, len(FIELDS) + 1)), ids=len
)
@pytest.mark.parametrize(
    "words", ["Unsupported parameter: '{}'", "body -> {}: extra fields not permitted",
              "Unknown name \"{}\": Cannot find field.", "`{}` is not supported by this model"]
)  # fmt: skip
def test_fields_that_are_refused_are_left_out_once(
    server: Server, make: MakeEngine, refused: list[str], words: str
) -> None:
    engine = make(top_p=0.9, seed=3, min_p=0.1, top_k=5, repetition_penalty=1.1, temperature=0.7)

    def rule(asked: Asked) -> Answer | None:
        found = [name for name in refused if name in asked.json]
        if found:
            return refusing(422, words.format(found[0]))
        if asked.json.get("stream"):
            return None
        whole = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
        return Answer([json.dumps(whole).encode()], 200, "application/json")

    server.rule = rule
    session = new_session(engine, "Hi")
    sent = len(server.chats)
    assert sent == len(refused) + 1
    assert ended(send(engine, session, "And?")).text == "Hello."
    assert len(server.chats) == sent + 1, "it is remembered"


@pytest.mark.parametrize("refused", ["png", "jpeg"])
@pytest.mark.parametrize("words", ["Unsupported image format", "{}: this MIME type can't be read"])
def test_pictures_of_another_format(
    server: Server, make: MakeEngine, refused: str, words: str
) -> None:
    """A picture goes as JPEG where its PNG is long, as a PNG else; a server may want one alone."""
    engine = make()
    side = 800 if refused == "jpeg" else 64
    noise = Image.frombytes("RGB", (side, side), random.Random(side).randbytes(side * side * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    file = decode.open_bytes(buffer.getvalue(), name="noise.png")

    def rule(asked: Asked) -> Answer | None:
        is_sent = f"data:image/{refused}" in json.dumps(asked.json)
        return refusing(400, words.format(refused)) if is_sent else None

    server.rule = rule
    session = new_session(engine, "a", file)
    assert ended(send(engine, session, "b", file)).text == "Hello."
    assert len(server.chats) == 3, "it is remembered"
    server.rule = lambda asked: refusing(400, "Bad MIME type") if pictures_of(asked) else None
    assert failed(send(engine, session, "c", file)).code == "refused"


def test_addresses_of_pictures_as_plain_strings(server: Server, make: MakeEngine) -> None:
    place = ["body", "messages", 0, "content", 0, "image_url"]

    def rule(asked: Asked) -> Answer | None:
        parts = [part for one in asked.json["messages"] for part in one["content"]]
        urls = [one["image_url"] for one in parts if one["type"] == "image_url"]
        said = {"detail": [{"loc": place, "msg": "Input should be a valid string"}]}
        body = json.dumps(said).encode()
        return None if isinstance(urls[0], str) else Answer([body], 422, "application/json")

    server.rule = rule
    assert ended(send(make(), None, "Hi", picture("red"))).text == "Hello."


@pytest.mark.parametrize(
    "words", few_quick(["Nein.", "", "Bad request", "{}", "upstream said no"], 2)
)
@pytest.mark.parametrize("disliked", ["stream_options", "temperature", "system"])
def test_a_refusal_without_a_reason(
    server: Server, make: MakeEngine, words: str, disliked: str
) -> None:
    def rule(asked: Asked) -> Answer | None:
        has_system = asked.json["messages"][0]["role"] == "system"
        is_sent = has_system if disliked == "system" else disliked in asked.json
        return Answer([words.encode()], 400, "text/plain") if is_sent else None

    server.rule = rule
    engine = make(system="Be brief.")
    session = new_session(engine, "Hi")
    sent = len(server.chats)
    assert ended(send(engine, session, "And?")).text == "Hello."
    assert len(server.chats) == sent + 1, "it is remembered"
    server.rule = lambda asked: Answer([words.encode()], 400, "text/plain")
    assert failed(send(engine, session, "Bad")).code == "refused"
    server.rule = lambda asked: None
    assert ended(send(engine, session, "And?")).text == "Hello."


def test_what_does_nothing_is_not_sent(server: Server, make: MakeEngine) -> None:
    new_session(make(), "Hi")
    assert set(server.chats[0].json) == {
        "model", "messages", "stream", "stream_options", "temperature", "max_tokens",
        "logprobs", "top_logprobs",
    }  # fmt: skip


# Harmless differences

ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, **more}]})


HARMLESS: dict[str, Answer] = {
    "empty data": Answer([b"data: \n\n", ROLE, b"data:\n\n", event(delta("Hello.")), b": ping\n\n",
                          b"event: ping\ndata: \n\n", END, event("[DONE]")]),
    "null": Answer([ROLE, event("null"), event(delta("Hello.")), END, event("[DONE]")]),
    "parts": Answer([chunk({"content": [{"type": "thinking", "thinking": [{"type": "text"}]}]}),
                     chunk({"content": [{"type": "text", "text": "Hello"}]}), event(delta(".")),
                     END]),
    "a type of JSON": Answer([ROLE, event(delta("Hello.")), END], 200, "application/json"),
    "plain text": Answer([ROLE, event(delta("Hello.")), END], 200, "text/plain; charset=utf-8"),
    "a second choice": Answer([event({"choices": [
        {"index": 1, "delta": {"content": "No."}}, {"index": 0, "delta": {"content": "Hello."}}]}),
        event({"choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}]}),
        END]),
    "lines of JSON": Answer([b'{"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n',
                             b'{"choices": [{"index": 0, "delta": {"content": "."},'
                             b' "finish_reason": "stop"}]}\n'], 200, "application/x-ndjson"),
    "usage alone": Answer([ROLE, event({"usage": {"prompt_tokens": 3}, "choices": []}),
                           event({"usage": None, "choices": None}), event(delta("Hello.")), END]),
    "CR LF and a mark": Answer([b"\xef\xbb\xbf" + ROLE.replace(b"\n", b"\r\n"),
                                event(delta("Hello.")).replace(b"\n", b"\r\n"), END]),
    "an end in other words": Answer([event(delta("Hello.", "end_turn"))]),
    "two lines of data": Answer([b'data: {"choices": [{"index": 0,\n'
                                 b'data: "delta": {"content": "Hello."}}]}\n\n', END]),
    "blank lines first": Answer([b"\n\n", ROLE, event(delta("Hello.")), END]),
    "no index": Answer([event({"choices": [{"delta": {"content": "Hello."}}]}), END]),
    "printed prettily": Answer([json.dumps({"choices": [{"message": {"content": "Hello."},
        "finish_reason": "stop"}]}, indent=2).encode() + b"\n"], 200, "application/json"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_difference_is_harmless(server: Server, make: MakeEngine, name: str) -> None:
    server.answers = [HARMLESS[name]]
    assert ended(send(make(), None, "Hi")).text == "Hello."


# No answer is no success

NO_ANSWER: dict[str, tuple[Answer, str, str]] = {
    "a filter": (saying(finish="content_filter"), "", "its filter found something. Ask"),
    "a filter later": (saying("The", finish="content_filter"), "The", "what came is kept. Ask"),
    "abort": (saying("The", finish="abort"), "The", "before its end (“abort”)"),
    "unknown": (saying(finish="weird\x1b[2J"), "", "before its end (“weird”)"),
    "an error": (Answer([event(delta("The")), chunk({"content": ""}, finish_reason="error",
                         error={"message": "Provider disconnected"})]), "The", "Provider"),
    "an error beside": (Answer([event(delta("The")), event({"error": {"message": "Gone"},
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]})]), "The", "Gone"),
    "a tool": (Answer([chunk({"tool_calls": [{"function": {"name": "look"}}]}),
                       event(delta("", "tool_calls"))]), "", "asked for a tool"),
    "nothing": (saying(), "", "answered nothing"),
    "thought": (Answer([chunk({"reasoning_content": "Let me see"}), event(delta("", "length"))]),
                "", "spent the whole answer on thinking"),
    "cut": (Answer([event(delta("The")), b'data: {"choices": [{"ind']), "The", "broke off"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_ANSWER)
def test_no_answer_is_no_success(server: Server, make: MakeEngine, name: str) -> None:
    answer, kept, words = NO_ANSWER[name]
    server.answers = [answer]
    events = send(make(), None, "Hi")
    failure = failed(events)
    assert spoken(events) == kept
    assert words in failure.message
    assert failure.turn is not None
    assert failure.turn.text == kept, "it is marked, and can be answered again"


# Servers that are busy, without a list, or cut conversations themselves


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WAITS_S", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: Server, make: MakeEngine, status: int) -> None:
    server.answers = [refusing(status), refusing(status), saying("Hello.")]
    assert ended(send(make(), None, "Hi")).text == "Hello."
    server.answers = [refusing(status)]
    failed(send(make(), None, "Hi"))
    assert len(server.chats) == 3 + 4, "it is not asked for ever"


@pytest.mark.parametrize(
    "after", ["\xb2", "-1", "1e400", "Wed, 99 Oct 99999 07:28:00 GMT", "9" * 5000]
)
def test_a_wait_that_is_none_is_one_sentence(
    server: Server, make: MakeEngine, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS_S", ())
    server.answers = [Answer([b"{}"], 429, headers={"Retry-After": after})]
    assert "busy" in failed(send(make(), None, "Hi")).message


@pytest.mark.parametrize("context", [float("inf"), 10**400, -5, 1e308])
def test_a_context_that_is_none_is_not_believed(
    server: Server, make: MakeEngine, context: float
) -> None:
    server.models = [{"id": "tiny", "max_model_len": context}]
    assert ended(send(make(), None, "Hi")).text == "Hello."


def test_a_server_that_wants_to_be_left_alone_is_not_waited_for(
    server: Server, make: MakeEngine
) -> None:
    server.answers = [Answer([b"{}"], 429, headers={"Retry-After": "3600"})]
    assert "again in 3600 seconds" in failed(send(make(), None, "Hi")).message
    assert len(server.chats) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_a_list_that_can_not_be_had_does_not_stop_a_named_model(
    server: Server, make: MakeEngine, status: int
) -> None:
    server.models = refusing(status, "Your key may not list models")
    assert ended(send(make(f"{server.address}/v1#tiny"), None, "Hi")).text == "Hello."


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"models": [{"name": "x"}]}', b"<html>", b"null"])
def test_a_list_of_another_shape_does_not_stop_a_named_model(
    server: Server, make: MakeEngine, body: bytes
) -> None:
    server.models = Answer([body], 200, "application/json")
    assert ended(send(make(f"{server.address}/v1#tiny"), None, "Hi")).text == "Hello."


@pytest.mark.parametrize(
    "said",
    [
        {"data": [{"id": "bad\x1b[2J"}, {}, None, 3, {"id": "tiny"}]},
        {"models": [{"name": "tiny", "context_length": 4096.0}]},
        {"data": None, "models": [{"model": "tiny"}]},
        ["tiny"],
        {"data": [{"id": "tiny", "max_model_len": "many", "meta": [], "owned_by": {}}]},
    ],
    ids=str,
)
def test_rows_of_a_list_that_can_be_read_are_read(
    server: Server, make: MakeEngine, said: object
) -> None:
    server.models = Answer([json.dumps(said).encode()], 200, "application/json")
    assert ended(send(make(), None, "Hi")).text == "Hello."
    assert server.chats[-1].json["model"] == "tiny"


def test_a_name_with_and_without_the_prefix_of_lists(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "models/tiny"}]
    assert ended(send(make(f"{server.address}/v1#tiny"), None, "Hi")).text == "Hello."


def test_a_conversation_that_the_server_cut_is_reported(server: Server, make: MakeEngine) -> None:
    server.models = [{"id": "tiny", "max_model_len": 32768}]
    engine = make(max_new_tokens=64)

    def rule(asked: Asked) -> Answer:
        tokens = len(json.dumps(asked.json["messages"])) // 4
        return saying("Hello.", usage={"prompt_tokens": tokens if tokens <= 4096 else 2050})

    server.rule = rule
    session = new_session(engine, "first " * 1500)
    assert not engine.model.status().warning
    send(engine, session, "more " * 800)
    assert not engine.model.status().warning
    send(engine, session, "more " * 1500)
    assert "left out the beginning" in engine.model.status().warning
    assert engine.prompts.context(session).left_out, "from now on less is sent"
    send(engine, session, "Hi")
    assert not engine.model.status().warning


def test_a_key_is_sent_to_one_server(
    server: Server, make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_SERVER_KEY", "sk-one-12345")
    monkeypatch.setenv("PHICHAT_SERVER_KEY_LOCALHOST", "sk-two-67890")
    ended(send(make(), None, "Hi"))
    assert server.chats[-1].headers["Authorization"] == "Bearer sk-one-12345"
    local = server.address.replace("127.0.0.1", "localhost")
    ended(send(make(local), None, "Hi"))
    assert server.chats[-1].headers["Authorization"] == "Bearer sk-two-67890"
    monkeypatch.delenv("PHICHAT_SERVER_KEY_LOCALHOST")
    ended(send(make(local), None, "Hi"))
    assert "Authorization" not in server.chats[-1].headers
    server.answers = [refusing(401)]
    assert "set PHICHAT_SERVER_KEY_LOCALHOST" in failed(send(make(local), None, "Hi")).message


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_key_that_is_repeated_is_not_shown(
    server: Server, make: MakeEngine, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("PHICHAT_SERVER_KEY", "sk-planted-secret")
    monkeypatch.setattr(client, "WAITS_S", ())
    server.answers = [refusing(status, "Bad key: sk-planted-secret (Bearer sk-planted-secret)")]
    message = failed(send(make(), None, "Hi")).message
    assert "planted" not in message
    assert "•••" in message


# Servers without a reason, or of other vendors


def without_eyes(status: int) -> Callable[[Asked], Answer | None]:
    """A server that says nothing about pictures in words that are known."""

    def rule(asked: Asked) -> Answer | None:
        return refusing(status, "Nein, danke.") if pictures_of(asked) else None

    return rule


@pytest.mark.parametrize("status", [400, 422, 500])
def test_pictures_that_are_refused_without_a_reason(
    server: Server, make: MakeEngine, status: int
) -> None:
    engine = make()
    session = new_session(engine, "a")
    server.rule = without_eyes(status)
    assert failed(send(engine, session, "b", picture("blue"))).message
    assert ended(send(engine, session, "Only text")).text == "Hello.", "not refused for ever"
    sent = len(server.chats)
    assert ended(send(engine, session, "And?")).text == "Hello."
    is_remembered = len(server.chats) == sent + 1
    assert is_remembered == (status != 500), "a failure may have passed by itself"


@pytest.mark.parametrize("status", [400, 500])
def test_what_is_of_no_help_is_taken_back(server: Server, make: MakeEngine, status: int) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    ended(send(engine, session, "b", picture("blue")))
    before = server.chats[-1].json
    server.rule = lambda asked: refusing(status, "Nein, danke.")
    failed(send(engine, session, "Bad"))
    server.rule = lambda asked: None
    ended(send(engine, session, "Now"))
    assert pictures_of(server.chats[-1]) == 2
    assert server.chats[-1].json.keys() == before.keys()


@pytest.mark.parametrize("status", [400, 500])
def test_stop_texts_at_which_a_server_fails_are_found_by_us(
    server: Server, make: MakeEngine, status: int
) -> None:
    server.rule = lambda asked: refusing(status, "Nein, danke.") if "stop" in asked.json else None
    server.answers = [saying("One. ST", "OP two.")]
    engine, chosen = make(), Sampling(stop=("STOP",))
    session = new_session(engine, "a", picture("red"))
    reply = ended(list(engine.send(session, Draft("b"), chosen)))
    assert (reply.text, reply.finish_reason) == ("One. ", FinishReason.STOP)
    first, refused, taken = (asked.json.keys() for asked in server.chats)
    assert (refused - taken, taken) == ({"stop"}, first), "nothing else was left out"
    assert pictures_of(server.chats[-1]) == 1
    assert ended(list(engine.send(session, Draft("c"), chosen))).text == "One. "
    assert len(server.chats) == 4, "it is remembered"


def test_one_picture_of_several_is_tried_before_none(server: Server, make: MakeEngine) -> None:
    engine = make()
    session = new_session(engine, "a", picture("red"))
    ended(send(engine, session, "b", picture("blue")))
    server.rule = lambda asked: refusing(400, "Nein.") if pictures_of(asked) > 1 else None
    ended(send(engine, session, "c"))
    assert pictures_of(server.chats[-1]) == 1
    ended(send(engine, session, "d", picture("green")))
    assert pictures_of(server.chats[-1]) == 1


def test_words_that_a_filter_refuses_are_sent_once(server: Server, make: MakeEngine) -> None:
    server.rule = lambda asked: refusing(400, "Blocked by our content management policy")
    assert failed(send(make(), None, "Hi")).code == "filtered"
    assert len(server.chats) == 1


REFUSALS_AS_REPLIES = {
    "an object": Answer([b'{"error_code": 17, "error_msg": "Open api daily limit reached"}'], 200,
                        "application/json"),
    "a state": Answer([b'{"choices": null, "base_resp": {"status_code": 1008, "status_msg": '
                       b'"insufficient balance: limit reached"}}'], 200, "application/json"),
    "an event": Answer([event({"message": "limit reached"})]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS_AS_REPLIES)
def test_a_refusal_in_the_place_of_a_reply_is_shown(
    server: Server, make: MakeEngine, name: str
) -> None:
    server.answers = [REFUSALS_AS_REPLIES[name]]
    assert "limit reached" in failed(send(make(), None, "Hi")).message


@pytest.mark.parametrize(
    ("reason", "code"),
    [("sensitive", "filtered"), ("guardrail_intervened", "filtered"), ("RECITATION", "filtered"),
     ("refusal", "filtered"), ("insufficient_system_resource", "server_failed"),
     ("network_error", "server_failed")],
)  # fmt: skip
def test_ends_of_vendors_that_are_none(
    server: Server, make: MakeEngine, reason: str, code: str
) -> None:
    server.answers = [saying("The", finish=reason)]
    assert failed(send(make(), None, "Hi")).code == code


@pytest.mark.parametrize("reason", ["model_length", "STOP", "normal", "COMPLETE", "MAX_TOKENS"])
def test_ends_of_vendors(server: Server, make: MakeEngine, reason: str) -> None:
    server.answers = [saying("Hello.", finish=reason)]
    assert ended(send(make(), None, "Hi")).text == "Hello."


def test_a_reply_in_the_form_of_the_older_api(server: Server, make: MakeEngine) -> None:
    server.answers = [Answer([event({"choices": [{"text": "Hello.", "finish_reason": "stop"}]})])]
    assert ended(send(make(), None, "Hi")).text == "Hello."


def test_a_list_that_failed_does_not_stop_a_named_model(server: Server, make: MakeEngine) -> None:
    server.models = refusing(500, "Internal error")
    assert ended(send(make(f"{server.address}/v1#tiny"), None, "Hi")).text == "Hello."
