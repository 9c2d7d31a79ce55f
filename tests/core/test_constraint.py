"""Replies that obey a schema: always JSON that fits, and what an uncached run would say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import pytest
import torch

from assistant import demo_model as demo
from assistant.core import generate as generation
from assistant.core.generate import ResidentModel
from assistant.core.sampling import Sampler
from assistant.core.speculation import Speculation
from assistant.families.grammar import Grammars, check_schema
from assistant.phi3v.rope import Regime
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import FinishReason
from assistant.values.errors import SchemaError
from assistant.values.generation import TokensGenerated
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.values.schema import read_schema
from tests.core.random_schemas import fits, random_schema
from tests.core.test_generation import answer, never
from tests.core.tiny import SWITCH, crops_of, tiny_phi3v

SIZE = 1060
"""Logits: 36 more than the demo's tokenizer has ids."""
CONTEXT = 512

BILL = read_schema("shop yes|no, paid bool, items[]: name cash|card, price int")


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.from_folder(demo.folder())


@cache
def grammars() -> Grammars:
    return Grammars(vocabulary().tokenizer_json, SIZE, vocabulary().stop_ids)


def resident(seed: int = 5, **options: Any) -> ResidentModel:
    model = tiny_phi3v(vocab=SIZE, seed=seed)
    return ResidentModel(
        model, vocabulary().stop_ids, CONTEXT, constrain=grammars().constraint, **options
    )


def said(ids: Sequence[int]) -> str:
    return vocabulary().decode(ids)


def asked(text: str) -> Prompt:
    return Prompt((vocabulary().encode(text),))


class Eager(Speculation):
    """One that believes every forward pass to cost the same, and never pauses."""

    def took(self, proposed: int, chosen: int, seconds: float) -> None:
        super().took(proposed, chosen, 1.0)
        self._paused = 0


def obeys(seed: int) -> bool:
    """Answer by random weights under a random schema; returns whether it ended by itself."""
    random = Random(seed)
    schema = random_schema(random)
    model = resident(seed % 50)
    ids, ended, _ = answer(
        model,
        asked(f"{seed} {json.dumps(schema)}"[:200]),
        CONTEXT // 2,
        never,
        crops_of,
        schema=json.dumps(schema),
        temperature=random.choice((0.0, 0.7, 2.0)),
        top_k=random.choice((0, 5)),
        top_p=random.choice((1.0, 0.8)),
        min_p=random.choice((0.0, 0.05)),
        repetition_penalty=random.choice((1.0, 1.3)),
        seed=seed,
    )
    if ended.finish_reason is FinishReason.LENGTH:
        return False
    assert fits(json.loads(said(ids)), schema), (seed, schema, said(ids))
    return True


def test_every_answer_of_random_weights_is_json_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "Speculation", Eager)
    assert sum(map(obeys, range(60))) >= 55, "so short a context hardly ever cuts one"


@pytest.mark.long
def test_a_thousand_answers_are_json_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "Speculation", Eager)
    assert sum(map(obeys, range(1000))) >= 950


@torch.inference_mode()
def uncached(model: Any, prompt: Prompt, schema: str) -> list[int]:
    """The greedy reply, each id the argmax of those allowed after a pass without a cache."""
    ids = [*prompt.parts[0]]  # type: ignore[misc]
    reply: list[int] = []
    while not (reply and reply[-1] in vocabulary().stop_ids):
        embeddings = model.model.embed_tokens(torch.tensor([ids + reply]))
        regime = Regime.LONG if embeddings.shape[1] > SWITCH else Regime.SHORT
        logits = model(inputs_embeds=embeddings, logits_to_keep=1, regime=regime).logits[0, -1]
        allowed = grammars().constraint(schema, reply).allowed()
        choices = allowed.nonzero()[:, 0]
        reply.append(int(choices[logits[choices].argmax()]))
    return reply


@pytest.mark.parametrize("seed", range(6))
def test_greedy_is_the_argmax_of_the_allowed_ids_of_an_uncached_run(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without proposals, across the switch of the rotary factors."""
    schema = read_schema("paid bool, shop yes|no, day date, count int")
    prompt = asked('{"paid": true, "shop": "yes", "day": "2026-11-29", "count": 12}')
    model = resident(seed, speculate=False)
    expected = uncached(model._model, prompt, schema)
    plain, _, _ = answer(model, prompt, 200, never, crops_of, schema=schema)
    assert plain == expected
    proposed = 0

    class Counted(Eager):
        def took(self, count: int, chosen: int, seconds: float) -> None:
            nonlocal proposed
            proposed += count
            super().took(count, chosen, seconds)

    monkeypatch.setattr(generation, "Speculation", Counted)
    quick, _, _ = answer(resident(seed), prompt, 200, never, crops_of, schema=schema)
    assert quick == expected
    assert proposed > 0
    assert fits(json.loads(said(quick)), {"type": "object", "required": [], "properties": {
        "paid": {"type": "boolean"}, "shop": {"enum": ["yes", "no"]},
        "day": {"type": "string", "format": "date"}, "count": {"type": "integer"}}})  # fmt: skip


def test_ids_beyond_the_tokenizer_and_control_tokens_are_never_allowed() -> None:
    constraint = grammars().constraint(BILL)
    names = {vocabulary().id(name) for name in ("<|user|>", "<|end|>", "<s>", "<unk>")}
    for token in grammars().constraint(BILL).forced():
        allowed = constraint.allowed()
        assert allowed.shape == (SIZE,)
        assert not allowed[1024:].any()
        assert not any(allowed[name] for name in names)
        assert [constraint.allows(one) for one in range(SIZE)] == allowed.tolist()
        constraint.take(token)


def test_one_reply_leaves_the_next_with_its_schema_alone() -> None:
    """The matcher of a schema is kept; a reply goes on in a copy of it."""
    first = grammars().constraint(BILL)
    fresh = first.allowed().tolist()
    for token in first.forced():
        first.take(token)
    assert first.allowed().tolist() != fresh
    assert grammars().constraint(BILL).allowed().tolist() == fresh


def is_taken(schema: Any, text: str) -> bool:
    ids = grammars()._tokenizer.tokenize_str(text)
    return grammars().constraint(json.dumps(schema)).count_allowed(ids) == len(ids)


OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    "schema",
    [OPEN, {"$ref": "#/$defs/A", "$defs": {"A": OPEN}}, {"anyOf": [OPEN, {"type": "null"}]}],
    ids=["plain", "by reference", "an alternative"],
)
def test_an_escaped_name_is_no_way_round_the_schema(schema: Any) -> None:
    """Readers of JSON take the last of two alike names: here a text where a number belongs."""
    right, wrong = '{"a": 1}', '{"a": 1, "\\u0061": "x"}'
    assert json.loads(wrong) == {"a": "x"}
    assert is_taken(schema, right)
    assert not is_taken(schema, wrong)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (OPEN | {"additionalProperties": {"type": "integer"}}, '{"a": 1, "b": 2}'),
        (OPEN | {"required": ["a", "b"]}, '{"a": 1, "b": 2}'),
        ({"allOf": [OPEN, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
         '{"a": 1, "b": 2}'),
        ({"type": "object"}, '{"b": 2}'),
        ({"type": "object", "properties": {"required": {"type": "integer"}}}, '{"required": 2}'),
    ],
    ids=["said so", "needed", "in two places", "no names", "a name that is a keyword"],
)  # fmt: skip
def test_properties_that_a_schema_asks_for_are_let_in(schema: Any, text: str) -> None:
    assert is_taken(schema, text)


def test_numbers_of_references_and_alternatives_end_too() -> None:
    either = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    endless = '{"n": ' + "7" * 40
    for schema in (
        {"type": "object", "properties": {"n": either}, "required": ["n"]},
        {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": either}},
    ):
        assert not is_taken(schema, endless)


def is_whole(schema: Any, value: int) -> bool:
    """Say whether a reply may be this number, and end there."""
    constraint = grammars().constraint(json.dumps(schema))
    ids = grammars()._tokenizer.tokenize_str(str(value))
    return constraint.count_allowed([*ids, min(vocabulary().stop_ids)]) == len(ids) + 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bound", [5, 2**53 + 1, 2**53 + 3, 2**60 + 1, 2**62 + 1])
def test_bounds_of_many_digits_let_nothing_else_in(bound: int, sign: int) -> None:
    """llguidance rounds them to doubles."""
    bound *= sign
    for name, beyond, within in (("minimum", -1, 1), ("maximum", 1, -1)):
        schema = {"type": "integer", name: bound}
        other = {"minimum": "maximum", "maximum": "minimum"}[name]
        schema[other] = bound + within * 2**40
        assert not is_whole(schema, bound + beyond), name
        assert is_whole(schema, bound + within * 2**30), name


@pytest.mark.parametrize("bound", [2**63 - 1, 2**63, 2**64 - 1, 10**22 + 1, 10**400])
def test_bounds_of_programming_languages_are_taken(bound: int) -> None:
    """The model may write a little less than they allow."""
    for schema, beyond in (
        ({"type": "integer", "maximum": bound}, bound + 1),
        ({"type": "integer", "minimum": -bound}, -bound - 1),
        ({"type": "integer", "exclusiveMaximum": bound}, bound),
    ):
        assert is_whole(schema, 2**62)
        assert is_whole(schema, -(2**62))
        assert not is_whole(schema, beyond)
    with pytest.raises(SchemaError, match="more digits"):
        check_schema(json.dumps({"type": "integer", "minimum": bound}))


@pytest.mark.parametrize(
    ("schema", "number"),
    [({"const": 2**53 + 1}, 2**53 + 1),
     ({"enum": ["a", 5, 123456789012345678]}, 123456789012345678),
     ({"type": "object", "properties": {"id": {"const": {"of": [2**63 - 1]}}}}, 2**63 - 1)],
)  # fmt: skip
def test_numbers_of_many_digits_are_refused_before_others_are_written(
    schema: Any, number: int
) -> None:
    with pytest.raises(SchemaError, match=f"more digits.*{number}"):
        check_schema(json.dumps(schema))


def test_a_value_that_doubles_hold_and_names_that_look_like_bounds_are_taken() -> None:
    assert is_whole({"enum": [2**60, 7]}, 2**60)
    named = {"minimum": {"type": "integer", "maximum": 9}, "const": {"type": "string"}}
    schema = {"type": "object", "properties": named, "required": ["minimum", "const"]}
    assert is_taken(schema, '{"minimum": 9, "const": "x"}')
    check_schema('{"type": "string", "maxLength": 9223372036854775807}')


def test_no_filter_brings_back_what_is_not_allowed() -> None:
    class Two:
        def allowed(self) -> torch.Tensor:
            return torch.tensor([False, True, False, True])

        def allows(self, token: int) -> bool:
            return token in (1, 3)

        def forced(self) -> list[int]:
            return []

        def count_allowed(self, ids: Sequence[int]) -> int:
            return len(ids)

        def take(self, token: int) -> None:
            assert token in (1, 3)
            taken.append(token)

    logits = torch.tensor([9.0, 1.0, 8.0, 1.5])
    taken: list[int] = []
    for chosen in (
        Sampling(),
        Sampling(temperature=3.0, seed=1),
        Sampling(temperature=1.0, top_k=3, seed=1),
        Sampling(temperature=1.0, top_p=0.01, seed=1),
        Sampling(temperature=1.0, min_p=0.5, seed=1),
        Sampling(temperature=1.0, repetition_penalty=5.0, seed=1),
    ):
        sampler = Sampler(chosen, [1, 2], Two())
        for _ in range(40):
            sampler(logits)
    assert taken[0] == 3
    assert set(taken) == {1, 3}
    assert logits.tolist() == [9.0, 1.0, 8.0, 1.5], "what the caller holds is left as it is"


def test_a_budget_within_a_value_is_length_and_its_rest_completes_it() -> None:
    model = resident(3)
    prompt = asked("Bill")
    first, ended, _ = answer(model, prompt, 4, never, crops_of, schema=BILL)
    assert ended.finish_reason is FinishReason.LENGTH
    goes_on = Prompt(((*vocabulary().encode("Bill"), *first),), begun=len(first))
    rest, ended, _ = answer(model, goes_on, 300, never, crops_of, schema=BILL)
    assert ended.finish_reason is FinishReason.STOP
    whole, _, _ = answer(resident(3), prompt, 300, never, crops_of, schema=BILL)
    assert first + rest == whole
    json.loads(said(whole))


def test_a_beginning_that_does_not_obey_is_refused() -> None:
    begun = vocabulary().encode("I see a star")
    goes_on = Prompt((begun,), begun=len(begun))
    with pytest.raises(SchemaError, match="beginning"):
        answer(resident(), goes_on, 9, never, crops_of, schema=BILL)


@pytest.mark.parametrize(
    "schema",
    ['{"type": "objekt"}',
     '{"type": "integer", "minimum": -9223373136366401536, "maximum": -9223372036854775808}',
     '{"type": "integer", "minimum": -9.4e18, "maximum": -9.3e18}',
     '{"not": {}}', '{"type": "string", "pattern": "(?=a)b"}',
     '{"$ref": "http://localhost:1/x"}', '{"allOf": [{"type": "string"}, {"type": "null"}]}',
     "[1]", "{" * 3000],
)  # fmt: skip
def test_what_can_not_be_obeyed_is_one_sentence(schema: str) -> None:
    with pytest.raises(SchemaError) as refused:
        check_schema(schema)
    assert str(refused.value).count("\n") == 0
    assert len(str(refused.value)) < 300
    with pytest.raises(SchemaError):
        list(
            resident().generate(asked("x"), Sampling(schema=schema), crops_of, never)  # type: ignore[arg-type]
        )


def test_a_schema_that_is_only_itself_fits_nothing() -> None:
    with pytest.raises(SchemaError, match="nothing fits it"):
        grammars().constraint('{"$ref": "#"}').allowed()


def test_a_reply_without_a_schema_is_what_it_was() -> None:
    ids = [
        event.ids
        for event in resident().generate(asked("x"), Sampling(max_new_tokens=9), crops_of, never)  # type: ignore[arg-type]
        if isinstance(event, TokensGenerated)
    ]
    free, _, _ = answer(
        ResidentModel(tiny_phi3v(vocab=SIZE), vocabulary().stop_ids, CONTEXT),
        asked("x"), 9, never, crops_of,
    )  # fmt: skip
    assert [one for (one,) in ids] == free
