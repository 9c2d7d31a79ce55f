"""Training dialogues: the replies are true of the pictures."""

from __future__ import annotations

import re
from random import Random

import pytest

from training.demo_model import grammar, small_talk
from training.demo_model.dialogues import Dialogue, sample_dialogue
from training.demo_model.replies import SPELL, SPELT, Facts, compare, describe, list_shapes, plain
from training.demo_model.scenes import COLOURS, KINDS

RED_CIRCLE: Facts = {
    "family": "shapes", "ground": "light", "shapes": [["red", "circle", 0.5, 0.5, 0.5]],
}  # fmt: skip
BLUE_STAR: Facts = {
    "family": "shapes", "ground": "dark", "shapes": [["blue", "star", 0.5, 0.5, 0.5]],
}  # fmt: skip
SIGN: Facts = {"family": "print", "ground": "light", "lines": ["open", "at 9"], "ink": "red"}
CHART: Facts = {
    "family": "chart", "ground": "light", "title": "Rain", "names": ["Mon", "Tue", "Wed"],
    "values": [3, 9, 5], "printed": True,
}  # fmt: skip
ABOUT_ONE = {
    "colour", "colour of", "kind", "kind of", "describe", "is it", "it", "everything",
}  # fmt: skip
TWO: Facts = {
    "family": "shapes", "ground": "dark",
    "shapes": [
        ["green", "square", 0.1, 0.2, 0.1], ["green", "square", 0.4, 0.7, 0.1],
        ["white", "square", 0.8, 0.4, 0.2],
    ],
}  # fmt: skip


def _dialogues(seen: list[Facts], count: int = 150) -> list[Dialogue]:
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
            if exchange.family.removeprefix("one shape: ") in ABOUT_ONE:
                seen_families.add(exchange.family)
                words = set(re.findall("[a-z]+", exchange.reply.lower()))
                assert words & {"red", "circle"}
                assert not words & ((set(COLOURS) | set(KINDS)) - {"red", "circle"})
    assert len(seen_families) == len(ABOUT_ONE)


def test_yes_and_no_are_balanced_and_true() -> None:
    replies = [
        e.reply
        for t in _dialogues([RED_CIRCLE], 400)
        for e in t.exchanges
        if ": is " in e.family and e.reply[:3] in ("Yes", "No,")
    ]
    yes = sum(r.startswith("Yes") for r in replies)
    assert len(replies) > 100
    assert 0.38 < yes / len(replies) < 0.62


def test_questions_before_any_picture_are_not_answered() -> None:
    for dialogue in _dialogues([], 60):
        for exchange in dialogue.exchanges:
            assert exchange.family.startswith("talk: ")
            if exchange.family == "talk: no picture":
                assert exchange.reply == small_talk.NO_PICTURE


def test_a_named_picture_is_the_one_that_is_answered_about() -> None:
    checked = 0
    for dialogue in _dialogues([RED_CIRCLE, BLUE_STAR], 400):
        for exchange in dialogue.exchanges:
            named = re.findall(r"\b(?:first|second) (?:picture|image)\b", exchange.text.lower())
            if len(named) == 1 and exchange.family in ("one shape: colour", "one shape: colour of"):
                checked += 1
                assert exchange.reply.endswith("red." if "first" in named[0] else "blue.")
    assert checked > 20


def test_sentences() -> None:
    assert list_shapes(TWO["shapes"]) == "two green squares and a white square"
    assert list_shapes([("orange", "star")]) == "an orange star"
    assert (
        compare([RED_CIRCLE, BLUE_STAR], [0, 1])
        == "The first picture shows a red circle, the second a blue star."
    )
    assert compare([RED_CIRCLE, RED_CIRCLE], [0, 1]) == "Both pictures show a red circle."
    assert plain(describe(SIGN)) == 'I see the text "open at 9".'
    assert plain(describe(CHART)) == 'I see a bar chart "Rain" with three bars.'


@pytest.mark.parametrize("facts", [SIGN, CHART])
def test_what_is_quoted_is_what_the_picture_says(facts: Facts) -> None:
    printed = " ".join(
        str(part) for key in ("lines", "names", "title") for part in _parts(facts, key)
    )
    for dialogue in _dialogues([facts]):
        for exchange in dialogue.exchanges:
            for quoted in re.findall(f"{SPELL}(.*?){SPELT}", exchange.reply):
                assert quoted in printed


def _parts(facts: Facts, key: str) -> list[str]:
    value = facts.get(key, [])
    return [value] if isinstance(value, str) else list(value)


def test_places_are_true() -> None:
    found = 0
    for dialogue in _dialogues([TWO], 400):
        for exchange in dialogue.exchanges:
            if exchange.family == "several shapes: end":
                found += 1
                assert ("white" in exchange.reply) == ("far right" in exchange.reply)
            if exchange.family == "several shapes: size":
                assert "white" in exchange.reply
                assert "largest" in exchange.reply
    assert found > 20


@pytest.mark.parametrize("family", ["foreign", "unreadable"])
def test_nothing_is_invented_about_a_picture_that_shows_nothing_known(family: str) -> None:
    replies = {small_talk.FOREIGN, small_talk.UNREADABLE}
    for dialogue in _dialogues([{"family": family, "ground": "light"}], 60):
        for exchange in dialogue.exchanges:
            if exchange.family == f"{family}: {family}":
                assert exchange.reply in replies


@pytest.mark.parametrize("seed", range(40))
def test_refusals_vary(seed: int) -> None:
    text = small_talk.sample_refused_request(Random(seed), KINDS)
    assert text
    assert not set("{|}") & set(text)
    assert text != small_talk.sample_refused_request(Random(seed + 1000), KINDS)


def test_expand_draws_every_alternative() -> None:
    drawn = {grammar.expand(Random(seed), "a (b|(c|d) e|)") for seed in range(60)}
    assert drawn == {"a b", "a c e", "a d e", "a"}
