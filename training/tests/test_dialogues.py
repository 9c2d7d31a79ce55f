"""Training dialogues: the replies are true of the pictures."""

from __future__ import annotations

import re
from random import Random

import pytest

from training.demo_model import grammar, small_talk
from training.demo_model.dialogues import Dialogue, sample_dialogue
from training.demo_model.replies import NOTHING, PictureFacts, compare, list_shapes
from training.demo_model.scenes import COLOURS, KINDS

RED_CIRCLE = PictureFacts((("red", "circle"),), "light")
BLUE_STAR = PictureFacts((("blue", "star"),), "dark")
ABOUT_ONE = {
    "colour", "colour of", "kind", "kind of", "describe", "is there", "or", "its kind",
    "its colour",
}  # fmt: skip
TWO = PictureFacts((("green", "square"), ("white", "square")), "dark")


def _dialogues(seen: list[PictureFacts], count: int = 150) -> list[Dialogue]:
    return [sample_dialogue(Random(seed), seen, turns=len(seen) + 4) for seed in range(count)]


def test_conversations_are_functions_of_their_seed() -> None:
    assert sample_dialogue(Random(3), [TWO], turns=5) == sample_dialogue(Random(3), [TWO], turns=5)


def test_every_picture_is_attached_once_and_in_order() -> None:
    for dialogue in _dialogues([RED_CIRCLE, BLUE_STAR, TWO]):
        assert [p for e in dialogue.exchanges for p in e.pictures] == [0, 1, 2]


def test_no_grammar_leaks_into_a_question() -> None:
    for dialogue in _dialogues([RED_CIRCLE, TWO]):
        for exchange in dialogue.exchanges:
            assert not set("{|}") & set(exchange.text + exchange.reply)


def test_replies_about_one_picture_name_only_what_it_shows() -> None:
    seen_families = set()
    for dialogue in _dialogues([RED_CIRCLE]):
        for exchange in dialogue.exchanges:
            if exchange.family in ABOUT_ONE:
                seen_families.add(exchange.family)
                words = set(re.findall("[a-z]+", exchange.reply.lower()))
                assert words & {"red", "circle"}
                assert not words & ((set(COLOURS) | set(KINDS)) - {"red", "circle"})
    assert len(seen_families) >= 8


def test_yes_and_no_are_balanced_and_true() -> None:
    replies = [
        e.reply
        for t in _dialogues([RED_CIRCLE], 400)
        for e in t.exchanges
        if e.family.startswith("is ")
    ]
    yes = sum(r.startswith("Yes") for r in replies)
    assert len(replies) > 100
    assert 0.38 < yes / len(replies) < 0.62


def test_questions_before_any_picture_are_not_answered() -> None:
    for dialogue in _dialogues([], 60):
        for exchange in dialogue.exchanges:
            assert exchange.family in ("no picture", "refusal", "small talk")
            if exchange.family == "no picture":
                assert exchange.reply == small_talk.NO_PICTURE


def test_a_named_picture_is_the_one_that_is_answered_about() -> None:
    checked = 0
    for dialogue in _dialogues([RED_CIRCLE, BLUE_STAR], 400):
        for exchange in dialogue.exchanges:
            named = re.findall(r"\b(?:first|second) (?:picture|image)\b", exchange.text.lower())
            if len(named) == 1 and exchange.family in ("colour", "colour of"):
                checked += 1
                assert exchange.reply.endswith("red." if "first" in named[0] else "blue.")
    assert checked > 20


def test_sentences() -> None:
    assert list_shapes(TWO.facts) == "a green square and a white square"
    assert list_shapes((("orange", "star"),)) == "an orange star"
    assert (
        compare([RED_CIRCLE, BLUE_STAR], [0, 1])
        == "The first picture shows a red circle, the second a blue star."
    )
    assert compare([TWO, TWO], [0, 1]) == "Both pictures show a green square and a white square."


def test_a_picture_without_shapes_is_said_to_have_none() -> None:
    dialogue = sample_dialogue(Random(1), [PictureFacts((), "light")], turns=4)
    assert any(e.reply == NOTHING for e in dialogue.exchanges)


@pytest.mark.parametrize("seed", range(40))
def test_refusals_vary(seed: int) -> None:
    text = small_talk.sample_refused_request(Random(seed), KINDS)
    assert text
    assert not set("{|}") & set(text)
    assert text != small_talk.sample_refused_request(Random(seed + 1000), KINDS)


def test_expand_draws_every_alternative() -> None:
    drawn = {grammar.expand(Random(seed), "a (b|(c|d) e|)") for seed in range(60)}
    assert drawn == {"a b", "a c e", "a d e", "a"}
