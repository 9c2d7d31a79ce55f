"""The window: never too much, whole exchanges, what is pinned, and a start that stays put."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

from assistant.values.context import Seen, Why
from assistant.values.conversation import Picture, Role, Turn, TurnKind
from assistant.window.plan import LOW_WATER, LOWEST_WATER, Plan, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MARKER = 8
"""Tokens of a marker in the place of a picture."""


def turn(
    number: int,
    role: Role,
    cost: int,
    pictures: Sequence[tuple[int, bool]] = (),
    *,
    pinned: bool = False,
    excluded: bool = False,
    kind: TurnKind = TurnKind.MESSAGE,
) -> Turn:
    """A turn whose text is as long as its cost; pictures are (cost, pinned)."""
    shown = tuple(
        Picture(n, "p.png", "a", "b", "image/png", width, 1, pinned=keep)
        for n, (width, keep) in enumerate(pictures, 1)
    )
    return Turn(
        f"{number}-{role}", None, role, "x" * cost, NOW, shown,
        pinned=pinned, excluded=excluded, kind=kind,
    )  # fmt: skip


def cost(seen: Seen) -> int:
    pictures = enumerate(seen.turn.pictures)
    return len(seen.turn.text) + sum(MARKER if n in seen.without else p.width for n, p in pictures)


def asked(number: int, size: int, *pictures: int, **marks: bool) -> Turn:
    return turn(number, Role.USER, size, [(one, False) for one in pictures], **marks)


def answered(number: int, size: int, **marks: bool) -> Turn:
    return turn(number, Role.ASSISTANT, size, **marks)


def seen_ids(made: Plan) -> list[str]:
    return [one.turn.id for one in made.seen]


sometimes = st.integers(0, 7).map(lambda n: n == 0)
pictures = st.lists(st.tuples(st.integers(MARKER + 1, 60), sometimes), max_size=2)


@st.composite
def histories(draw: st.DrawFn, marks: bool = True) -> list[Turn]:
    """Questions with and without replies, quotations, pictures, pins and exclusions."""
    flag = sometimes if marks else st.just(False)
    turns = []
    for number in range(draw(st.integers(1, 25))):
        if draw(sometimes):
            turns.append(turn(number, Role.USER, draw(st.integers(1, 30)), kind=TurnKind.RECALL))
            continue
        question = turn(
            number, Role.USER, draw(st.integers(1, 40)), draw(pictures),
            pinned=draw(flag), excluded=draw(flag),
        )  # fmt: skip
        if not marks:
            shown = tuple(replace(picture, pinned=False) for picture in question.pictures)
            question = replace(question, pictures=shown)
        turns.append(question)
        if not draw(sometimes):
            reply = answered(number, draw(st.integers(1, 40)))
            turns.append(replace(reply, pinned=draw(flag), excluded=draw(flag)))
    return turns


def exchanges(turns: Sequence[Turn]) -> list[list[Turn]]:
    found: list[list[Turn]] = []
    for one in turns:
        if one.role is Role.ASSISTANT and found:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def is_pinned(exchange: Sequence[Turn]) -> bool:
    return any(one.pinned or any(p.pinned for p in one.pictures) for one in exchange)


@settings(max_examples=120, deadline=None)
@given(turns=histories(), budget=st.integers(20, 400), summary=st.integers(0, 20))
def test_what_is_seen_fits_and_is_whole(turns: list[Turn], budget: int, summary: int) -> None:
    made = plan(turns, budget, cost, summary=summary)
    seen = {one.turn.id: one for one in made.seen}
    gone = {one.turn.id: one for one in made.left_out if one.picture is None}
    assert [t.id for t in turns if t.id in seen or t.id in gone] == [t.id for t in turns]
    assert not seen.keys() & gone.keys()
    assert seen_ids(made) == [t.id for t in turns if t.id in seen], "in their order"
    total = sum(map(cost, made.seen)) + (summary if made.evicted else 0)
    assert made.tokens == total
    assert made.fits == (total <= budget)
    excluded = {one for one, why in gone.items() if why.why is Why.EXCLUDED}
    *older, newest = ([t for t in e if t.id not in excluded] for e in exchanges(turns))
    for exchange in (*older, newest):
        assert len({one.id in seen for one in exchange}) <= 1, "an exchange is never split"
        if is_pinned(exchange) or exchange is newest:
            assert all(one.id in seen for one in exchange), "what must stay stays"
    for one in made.seen:
        for position in one.without:
            assert one.turn not in newest
            assert not one.turn.pinned
            assert not one.turn.pictures[position].pinned
    if not made.fits:
        for exchange in older:
            if not is_pinned(exchange):
                assert not any(one.id in seen for one in exchange), "only what must stay is there"


@given(turns=histories(), budget=st.integers(20, 400))
def test_the_same_history_gives_the_same_plan(turns: list[Turn], budget: int) -> None:
    again = [replace(one) for one in turns]
    assert plan(turns, budget, cost) == plan(again, budget, cost)


@given(turns=histories(marks=False), budget=st.integers(20, 3000))
def test_nothing_is_left_out_that_fits(turns: list[Turn], budget: int) -> None:
    total = sum(cost(Seen(one)) for one in turns)
    made = plan(turns, budget, cost)
    assert (total <= budget) <= (not made.left_out)


@given(turns=histories(), budget=st.integers(20, 400))
def test_what_is_left_out_says_what_it_saves(turns: list[Turn], budget: int) -> None:
    made = plan(turns, budget, cost)
    for one in made.left_out:
        if one.picture is None:
            assert one.tokens == cost(Seen(one.turn))
        else:
            assert one.why is Why.NO_ROOM
            assert one.tokens == one.picture.width - MARKER
            assert one.picture in one.turn.pictures


def test_old_pictures_go_before_turns() -> None:
    turns = [asked(0, 5, 60), answered(0, 5), asked(1, 5, 40), answered(1, 5), asked(2, 20)]
    made = plan(turns, 130, cost)
    (gone,) = made.left_out
    assert (gone.turn.id, gone.tokens) == ("0-user", 60 - MARKER)
    assert made.seen[0].without == {0}
    assert made.seen[2].without == frozenset(), "what was shown last is what is talked about"
    assert made.tokens == 140 - gone.tokens <= 130 * LOW_WATER


def test_the_last_picture_goes_before_its_exchange() -> None:
    """Beside a long question a marker takes its place; its words stay when that is enough."""
    turns = [asked(0, 5), answered(0, 5), asked(1, 5, 60), answered(1, 5), asked(2, 50)]
    made = plan(turns, 100, cost)
    assert seen_ids(made) == ["1-user", "1-assistant", "2-user"]
    assert made.seen[0].without == {0}


def test_the_picture_that_is_talked_about_stays_until_another_is_shown() -> None:
    turns = [asked(0, 5, 30), answered(0, 5)]
    turns += [t for n in range(1, 9) for t in (asked(n, 8), answered(n, 8))]
    made = plan([*turns, asked(9, 10)], 100, cost)
    assert made.evicted
    assert seen_ids(made)[:2] == ["0-user", "0-assistant"]
    assert made.seen[0].without == frozenset()
    turns += [asked(9, 10, 30), answered(9, 8)]
    turns += [t for n in range(10, 19) for t in (asked(n, 8), answered(n, 8))]
    made = plan([*turns, asked(19, 8)], 100, cost)
    assert seen_ids(made)[:2] == ["9-user", "9-assistant"]


def test_pinned_pictures_and_turns_stay() -> None:
    first = turn(0, Role.USER, 5, [(30, True), (30, False)])
    turns = [first, answered(0, 5), asked(1, 30), answered(1, 20), asked(2, 40)]
    made = plan(turns, 100, cost)
    assert seen_ids(made) == ["0-user", "0-assistant", "2-user"]
    assert made.seen[0].without == {1}
    whole = plan([replace(first, pinned=True), *turns[1:]], 100, cost)
    assert whole.seen[0].without == frozenset()
    assert whole.pinned == 70


def test_what_is_pinned_may_be_too_much() -> None:
    turns = [asked(0, 60, pinned=True), answered(0, 30), asked(1, 30)]
    made = plan(turns, 100, cost)
    assert not made.fits
    assert made.pinned == 90
    assert seen_ids(made) == [one.id for one in turns]


@pytest.mark.parametrize("pinned", [False, True])
def test_a_question_taken_out_takes_its_reply_along(pinned: bool) -> None:
    turns = [asked(0, 5, 20, excluded=True, pinned=pinned), answered(0, 5), asked(1, 5)]
    made = plan(turns, 100, cost)
    assert seen_ids(made) == ["1-user"]
    assert [(one.turn.id, one.why, one.tokens) for one in made.left_out] == [
        ("0-user", Why.EXCLUDED, 25),
        ("0-assistant", Why.EXCLUDED, 5),
    ]


def test_a_reply_is_taken_out_alone() -> None:
    turns = [asked(0, 5, 20), answered(0, 5, excluded=True), asked(1, 5)]
    assert seen_ids(plan(turns, 100, cost)) == ["0-user", "1-user"]


def test_a_question_to_be_answered_now_is_seen() -> None:
    question = asked(0, 5, excluded=True)
    assert seen_ids(plan([question], 100, cost)) == ["0-user"]
    assert seen_ids(plan([question, answered(0, 5)], 100, cost)) == []


def test_room_is_made_for_a_summary_when_a_turn_goes() -> None:
    turns = [t for n in range(9) for t in (asked(n, 5), answered(n, 5))]
    whole = plan([*turns, asked(9, 10)], 100, cost, summary=30)
    assert whole.tokens == 100, "nothing went, so there is nothing to sum up"
    cut = plan([*turns, asked(9, 11)], 100, cost, summary=30)
    assert cut.evicted
    assert cut.tokens == sum(map(cost, cut.seen)) + 30
    assert cut.tokens <= 70


def test_a_turn_that_can_not_fit_is_said_so() -> None:
    turns = [asked(0, 5), answered(0, 5), asked(1, 500)]
    made = plan(turns, 100, cost)
    assert not made.fits
    assert seen_ids(made) == ["1-user"]


def prompts(turns: Sequence[Turn], budget: int) -> list[tuple[Seen, ...]]:
    """Turns that the model saw each time that a question was sent."""
    ends = [n for n, one in enumerate(turns, 1) if one.role is Role.USER]
    return [plan(turns[:end], budget, cost).seen for end in ends]


def kept_prefixes(turns: Sequence[Turn], budget: int) -> float:
    """The share of questions before which everything stood as it had been sent before."""
    sent = prompts(turns, budget)
    kept = [new[: len(old)] == old for old, new in itertools.pairwise(sent)]
    return sum(kept) / len(kept)


def long_chat(length: int, text: int, pictures: Sequence[int], every: int) -> list[Turn]:
    """Random lengths up to ``text``; every so many questions a picture of one of the sizes."""
    source = random.Random(0)
    turns = []
    for number in range(length):
        shown = [source.choice(pictures)] if source.randrange(every) == 0 else []
        turns.append(asked(number, source.randint(1, text), *shown))
        turns.append(answered(number, source.randint(1, text)))
    return turns


@pytest.mark.parametrize(
    ("budget", "text", "pictures"),
    [
        (3_584, 60, (313, 757)),
        (7_168, 200, (313, 757)),
        (31_744, 800, (757, 1921, 2509)),
        (130_048, 3000, (1921, 2509)),
    ],
)
def test_the_cached_prefix_survives_nine_turns_of_ten(
    budget: int, text: int, pictures: Sequence[int]
) -> None:
    """Hundreds of turns, every fifth with a picture; exchanges of up to 5 % of the budget."""
    turns = long_chat(250, text, pictures, every=5)
    assert plan(turns, budget, cost).left_out
    assert kept_prefixes(turns, budget) >= 0.9


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=40, max_size=90))
def test_the_cached_prefix_survives_any_small_turns(sizes: list[tuple[int, int]]) -> None:
    """Up to half of the budget is filled between two cuts: exchanges of 4 % keep nine of ten."""
    turns = [t for n, (a, b) in enumerate(sizes) for t in (asked(n, a), answered(n, b))]
    assert kept_prefixes(turns, 1000) >= 0.9


def test_a_cut_goes_down_to_low_water() -> None:
    turns = [t for n in range(50) for t in (asked(n, 5), answered(n, 5))]
    sizes = [sum(map(cost, seen)) for seen in prompts(turns, 100)]
    assert max(sizes) <= 100
    after_cuts = [new for old, new in itertools.pairwise(sizes) if new < old]
    assert after_cuts
    assert 100 * LOWEST_WATER < after_cuts[0] <= 100 * LOW_WATER
    assert all(size <= 100 * LOWEST_WATER for size in after_cuts[1:]), "ten fill it: long ones"
    sizes = [sum(map(cost, seen)) for seen in prompts(turns, 400)]
    after_cuts = [new for old, new in itertools.pairwise(sizes) if new < old]
    assert after_cuts
    assert all(400 * (LOW_WATER - 0.025) < size <= 400 * LOW_WATER for size in after_cuts)


def test_a_long_history_is_planned_in_one_pass() -> None:
    """Costs are asked for a bounded number of times a turn, however long the history is."""
    turns = long_chat(2000, 300, (757, 1921), every=5)
    asked_for = 0

    def counted(seen: Seen) -> int:
        nonlocal asked_for
        asked_for += 1
        return cost(seen)

    plan(turns, 30_000, counted)
    assert asked_for <= 4 * len(turns)


def test_pictures_that_a_server_does_not_take_are_not_called_too_large() -> None:
    turns = [asked(1, 10, 50, 60), answered(1, 5), asked(2, 10, 40), answered(2, 5), asked(3, 10)]
    made = plan(turns, 400, cost, most_pictures=1)
    left_out = [(one.turn.id, one.picture and one.picture.number, one.why) for one in made.left_out]
    assert left_out == [("1-user", 1, Why.NOT_TAKEN), ("1-user", 2, Why.NOT_TAKEN)]
    assert {one.why for one in plan(turns, 60, cost).left_out} == {Why.NO_ROOM}
