"""Chances of a server's tokens: put on ids, stored, listed, gone on from where that can be done."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from hypothesis import given, strategies as st

from assistant.engine.chances import ENDS, tokens_of, words_of
from assistant.servers.chances import SentChances
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.chances import Chance
from assistant.values.conversation import Draft, FinishReason, Turn
from assistant.values.errors import PhichatError
from assistant.values.sampling import Sampling
from tests.engine.conftest import new_session, send
from tests.servers.conftest import MakeEngine
from tests.servers.openai_server import Answer, Server, delta, event, refusing, saying
from tests.servers.test_server_core import ended, spoken

VLLM = [{"id": "tiny", "owned_by": "vllm"}]


def token(text: str | bytes, chance: float = 0.9, *others: tuple[str, float]) -> dict[str, Any]:
    data = text.encode() if isinstance(text, str) else text
    name = data.decode("utf-8", "replace")
    tops = [{"token": name, "logprob": log(chance), "bytes": list(data)}]
    tops += [{"token": one, "logprob": log(p), "bytes": list(one.encode())} for one, p in others]
    return {"token": name, "bytes": list(data), "logprob": log(chance), "top_logprobs": tops}


def sent(text: str, *tokens: dict[str, Any], field: str = "content") -> bytes:
    said = delta(text)
    said["choices"][0]["delta"] = {field: text}
    said["choices"][0]["logprobs"] = {"content": list(tokens)}
    return event(said)


def replying(*pieces: bytes) -> Answer:
    return Answer([*pieces, event(delta("", "stop")), event("[DONE]")])


RED = replying(
    sent("It", token("It")),
    sent(" is", token(" is", 0.8)),
    sent(
        " understandably",
        token(" understandably", 0.3, (" red", 0.25), (" ", 0.1), ("</s>", 0.1)),
    ),
    sent(" red.", token(" red", 0.1, (" 🟥 square", 0.6)), token(".")),
)  # fmt: skip


def kept(engine: Any, turn: Turn) -> list[tuple[str, float, list[tuple[str, float]]]]:
    return [
        (
            one.text,
            round(one.probability, 3),
            [(two.text, round(two.probability, 3)) for two in one.others],
        )
        for one in engine.tokens(turn)
    ]


def test_chances_of_a_server_are_kept_by_its_own_tokens(server: Server, make: MakeEngine) -> None:
    server.answers = [RED]
    engine = make()
    turn = ended(send(engine, None, "What is it?"))
    assert turn.text == "It is understandably red."
    asked = server.chats[0].json
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 4)
    assert kept(engine, turn) == [
        ("It", 0.9, []),
        (" is", 0.8, []),
        (" understandably", 0.3, [(" red", 0.25), (" ", 0.1), (ENDS, 0.1)]),
        (" red", 0.1, [(" 🟥 square", 0.6)]),
        (".", 0.9, []),
    ]
    words = [
        (word.start, word.end, round(word.probability, 2)) for word in words_of(engine.tokens(turn))
    ]
    assert words == [(0, 2, 0.9), (3, 5, 0.8), (6, 20, 0.3), (21, 25, 0.1)]
    chances = engine.store.chances(turn.id)
    assert chances is not None
    assert turn.token_ids is not None
    assert len(chances) == len(turn.token_ids)
    assert sum(one.logprob for one in chances if one) == pytest.approx(
        sum(map(log, (0.9, 0.8, 0.3, 0.1, 0.9)))
    )


def test_a_runner_up_is_gone_on_from_where_the_server_can(server: Server, make: MakeEngine) -> None:
    server.models = VLLM
    server.answers = [
        RED,
        replying(sent(", I think", token(",", 0.7), token(" I"), token(" think"))),
    ]
    engine = make()
    session = new_session(engine, "What is it?")
    turn = engine.store.conversation(session).turns[-1]
    word = engine.tokens(turn)[3]
    reply = ended(list(engine.branch(session, turn.id, word.place, word.others[0].id)))
    assert (reply.text, reply.parent) == (
        "It is understandably 🟥 square, I think", turn.parent,
    )  # fmt: skip
    body = server.chats[1].json
    assert body["messages"][-1]["content"] == "It is understandably 🟥 square"
    assert body["continue_final_message"] is True
    assert kept(engine, reply)[3:5] == [(" 🟥 square", 0.6, [(" red", 0.1)]), (",", 0.7, [])]
    again = ended(list(engine.branch(session, reply.id, word.place, " red")))
    assert again.text.startswith("It is understandably red")


def test_where_it_can_not_one_sentence_says_so(server: Server, make: MakeEngine) -> None:
    server.answers = [RED]
    engine = make()
    session = new_session(engine, "What is it?")
    turn = engine.store.conversation(session).turns[-1]
    word = engine.tokens(turn)[2]
    with pytest.raises(PhichatError, match="goes on from within a reply is not known"):
        list(engine.branch(session, turn.id, word.place, " red"))
    with pytest.raises(PhichatError, match="The reply would end there"):
        list(engine.branch(session, turn.id, word.place, ""))
    with pytest.raises(PhichatError, match="can't go on from there"):
        list(engine.branch(session, turn.id, word.place + 1, " red"))
    assert len(server.chats) == 1


def test_a_branch_of_json_obeys_no_second_schema(server: Server, make: MakeEngine) -> None:
    server.models = VLLM
    schema = Sampling(schema='{"type": "object"}')
    first = replying(
        sent('{"a": ', token('{"a": ')), sent("1}", token("1", 0.5, ("2", 0.4)), token("}"))
    )
    server.answers = [first, replying(sent("}", token("}"))), replying(sent("]", token("]")))]
    engine = make()
    turn = ended(list(engine.send(None, Draft("How many?"), schema)))
    session = engine.store.latest_session()
    assert session is not None
    word = engine.tokens(turn)[1]
    reply = ended(list(engine.branch(session, turn.id, word.place, "2")))
    assert reply.text == '{"a": 2}'
    assert "response_format" not in server.chats[-1].json
    assert engine.model.status().warning == ""
    list(engine.branch(session, turn.id, word.place, "2"))
    assert "not JSON" in engine.model.status().warning


THOUGHT = [
    sent("<think>", token("<th"), token("ink>")),
    sent(
        "red? </think>\n\nred",
        token("red", 0.2), token("? "), token("</think>"), token("\n\n"), token("red", 0.4),
    ),
    sent(" it is", token(" it"), token(" is")),
]  # fmt: skip
FIELD = [
    sent("red?", token("red", 0.2), token("?"), field="reasoning_content"),
    sent("red", token("red", 0.4)),
    sent(" it is", token(" it"), token(" is")),
]
HALVES = [
    sent("", token("🟥".encode()[:2], 0.4)),
    sent("🟥", token("🟥".encode()[2:], 0.9)),
    sent(" it is", token(" it"), token(" is")),
]
LATER = [  # the text is held back until it is clear that no stop string begins
    sent("", token("red", 0.4)),
    sent("red it", token(" it"), token(" is")),
    sent(" is"),
]


@pytest.mark.parametrize("pieces", [THOUGHT, FIELD, HALVES, LATER])
def test_thoughts_halves_and_delays_move_no_chance(
    server: Server, make: MakeEngine, pieces: list[bytes]
) -> None:
    server.answers = [replying(*pieces)]
    engine = make()
    turn = ended(send(engine, None, "What is it?"))
    found = [(one.text, round(one.probability, 1)) for one in engine.tokens(turn)]
    first = ("🟥", 0.4) if pieces is HALVES else ("red", 0.4)
    rest = [(text, likely) for text, likely in found if text]
    assert "".join(text for text, _ in rest) == turn.text
    assert rest[0][0] == first[0]
    assert min(likely for _, likely in found) == 0.4
    assert rest[1:] == [(" it", 0.9), (" is", 0.9)]


@pytest.mark.parametrize(
    "logprobs",
    [
        "much", [], {"content": "x"}, {"content": [{}]}, {"content": [None]},
        {"content": [token("other")]}, {"content": [{**token("Yes"), "logprob": "x"}]},
        {"content": [{**token("Yes"), "logprob": 3.0}]},
        {"content": [{**token("Yes"), "logprob": -(10**400)}]},
        {"content": [{**token("Yes"), "bytes": 10**12}]},
        {"content": [{**token("Yes"), "bytes": 10**40}]},
        {"content": [{**token("Yes"), "bytes": [999]}]},
        {"content": [{**token("Yes"), "top_logprobs": [1]}]},
        {"tokens": ["Yes"], "token_logprobs": [-0.1]}, None,
    ],
)  # fmt: skip
def test_whatever_a_server_sends_in_their_place_the_reply_is_whole(
    server: Server, make: MakeEngine, logprobs: object
) -> None:
    said = delta("Yes")
    said["choices"][0]["logprobs"] = logprobs
    server.answers = [replying(event(said), event(delta(".")))]
    engine = make()
    turn = ended(send(engine, None, "Is it?"))
    assert turn.text == "Yes."
    with pytest.raises(PhichatError, match="not known"):
        engine.tokens(turn)


@pytest.mark.parametrize(
    ("refusal", "left"),
    [
        (refusing(400, "'top_logprobs' is not supported", param="top_logprobs"), {"logprobs"}),
        (refusing(400, "Unknown name \"logprobs\": Cannot find field."), set()),
        (refusing(403, "You are not allowed to request logprobs from this model."), set()),
        (refusing(422, "No."), set()),
    ],
)  # fmt: skip
def test_a_server_that_does_not_take_the_wish_is_asked_without(
    server: Server, make: MakeEngine, refusal: Answer, left: set[str]
) -> None:
    server.answers = [refusal, saying("Hello.")]
    engine = make()
    assert spoken(send(engine, None, "Hi")) == "Hello."
    send(engine, None, "And?")
    assert len(server.chats) == 3
    for asked in server.chats[1:]:
        assert {"logprobs", "top_logprobs"} & set(asked.json) == left


@given(st.text(min_size=1), st.data())
def test_tokens_and_text_may_be_cut_anywhere(text: str, data: st.DataObject) -> None:
    raw = text.encode("utf-8", "replace")
    text = raw.decode()
    ends = sorted(data.draw(st.sets(st.integers(1, len(raw)))) | {len(raw)})
    places = sorted(data.draw(st.sets(st.integers(1, len(text)))) | {len(text)})
    tokens = [raw[left:right] for left, right in zip([0, *ends], ends, strict=False)]
    found = SentChances()
    for number, one in enumerate(tokens, 1):
        found.take({"content": [{"token": "?", "bytes": list(one), "logprob": -number}]})
    ids: list[int] = []
    chances: list[Chance | None] = []
    for left, right in zip([0, *places], places, strict=False):
        more, theirs = found.put_on(text[left:right])
        assert len(more) == len(theirs)
        ids += more
        chances += theirs
    vocabulary = TextVocabulary()
    assert vocabulary.text(ids) == text
    assert [one.logprob for one in chances if one] == [-n for n in range(1, len(tokens) + 1)]
    assert "".join(one.text for one in tokens_of(ids, tuple(chances), vocabulary)) == text


def test_a_stop_string_cuts_them_with_the_ids(server: Server, make: MakeEngine) -> None:
    server.answers = [RED]
    engine = make()
    turn = ended(list(engine.send(None, Draft("What is it?"), Sampling(stop=("ably",)))))
    assert (turn.text, turn.finish_reason) == ("It is understand", FinishReason.STOP)
    chances, ids = engine.store.chances(turn.id), turn.token_ids
    assert chances is not None
    assert ids is not None
    assert len(chances) == len(ids)
