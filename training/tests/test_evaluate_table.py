"""Evaluation: a reply is right when it names what the wanted one names, and nothing more."""

from __future__ import annotations

import pytest

from training.demo_model import small_talk
from training.demo_model.evaluate_table import is_right

TWO = "I see a red circle and two blue stars."


@pytest.mark.parametrize(
    "reply",
    [
        TWO,
        "There are two blue stars and a red circle on a dark background.",
        "Blue stars (two), red circle",
    ],
)
def test_the_same_things_in_other_words_are_right(reply: str) -> None:
    assert is_right(reply, TWO)


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("I see a red circle and a blue star.", TWO),
        ("I see a red circle and two blue stars and a square.", TWO),
        ("", TWO),
        ("No, it is blue.", "Yes, it is blue."),
        ('It says "open".', 'It says "Open".'),
        ("It says open.", 'It says "open".'),
        ('The bars are "a" and "b".', 'The bars are "b" and "a".'),
        ("It is 41.", "It is 42."),
        ("It is to the left of the red circle.", "It is to the right of the red circle."),
        ("I see a blue star.", small_talk.FOREIGN),
        ("I only see a blue star.", small_talk.FOREIGN),
        ('It only says "abc".', small_talk.UNREADABLE),
        (small_talk.GOODBYE, small_talk.WELCOME),
    ],
)
def test_another_thing_is_wrong(reply: str, wanted: str) -> None:
    assert not is_right(reply, wanted)


@pytest.mark.parametrize(
    "modest", [small_talk.FOREIGN, small_talk.UNREADABLE, small_talk.REFUSAL, small_talk.LANGUAGE]
)
def test_saying_so_in_any_of_its_ways_is_right(modest: str) -> None:
    assert is_right(modest, small_talk.FOREIGN)
    assert is_right(modest, small_talk.UNREADABLE)


def test_another_bar_is_wrong() -> None:
    assert is_right("It is the second bar, the tallest.", "The second bar is the tallest.")
    assert not is_right("The third bar is the tallest.", "The second bar is the tallest.")
    assert not is_right("The second bar is the shortest.", "The second bar is the tallest.")
